"""Whether a connection is read from."""

from __future__ import annotations

from uvicorn.protocols.http.flow_control import FlowControl


class HoldingFlow(FlowControl):
    """Reading stops and starts as uvicorn says, but never starts while the connection holds it."""

    _held = False

    def hold(self) -> None:
        """Read nothing until ``release``: the connection has more than enough to parse."""
        self.pause_reading()
        self._held = True

    def release(self) -> None:
        """Read on."""
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless the connection holds it."""
        if not self._held:
            super().resume_reading()
