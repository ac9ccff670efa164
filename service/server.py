"""uvicorn's server, with a drain that loses nothing and an eye on clients that keep it waiting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Iterator

import uvicorn

from service.app import TELL_SECONDS, Service
from service.listener import Listener
from service.protocol import PredictProtocol

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1  # uvicorn's own
LOOK_TICKS = round(TELL_SECONDS / TICK_SECONDS)
QUIET_SECONDS = 0.5
# Of the time that the whole drain may take: what is left is for the requests in flight at its end.
LISTENING_SHARE = 0.4


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then goes on until nobody comes any more.

    uvicorn's own drain begins with the listener and every idle connection, and whoever was about to use one
    of them meets a reset. Here the drain begins with telling: ``/healthz`` fails, and each answer is the last
    of its connection. Those who still come are served, until half a second passes in which nobody does.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, but leave the one socket to the listener."""
        assert sockets is not None
        await super().startup([])
        connections, peers = self.server_state.connections, self._service.peers
        self._listener = Listener(sockets[0], self._protocol, lambda: peers.is_our_turn(len(connections)))
        self._listener.open()
        peers.take_part(connections=0)
        self._log_started_message(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals, and let in those that the parent of a worker has held back until now."""
        with super().capture_signals():
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            yield

    async def on_tick(self, counter: int) -> bool:
        """Tell the peers, and look at every connection, for which the hot path keeps no timers."""
        if counter % LOOK_TICKS == 0:
            self._service.peers.tell()
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, PredictProtocol):
                    connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does."""
        allowed = float(self.config.timeout_graceful_shutdown or 0)
        began = time.perf_counter()
        edge = self._service.edge
        edge.draining, edge.last_served = True, began
        logger.info("draining: the health check fails, and connections end with their next answer")
        await self._quiet_by(began + allowed * LISTENING_SHARE)
        # Where they come without a pause, as nothing sends them elsewhere, it has to end all the same.
        # Whoever is connected by now gets the time for one more request.
        await self._listener.close(for_good=not self._service.peers.take_no_part())
        await self._quiet_by(began + 2 * allowed * LISTENING_SHARE)
        rest = allowed - (time.perf_counter() - began)
        self.config.timeout_graceful_shutdown = max(1, int(rest))
        await super().shutdown(sockets)

    async def _quiet_by(self, deadline: float) -> None:
        """Serve until nobody has been served for a while, or to the deadline."""
        edge = self._service.edge
        counter = 0
        while not self.force_exit and time.perf_counter() < deadline:
            await asyncio.sleep(TICK_SECONDS)
            counter += 1
            await self.on_tick(counter)
            if not edge.in_flight and time.perf_counter() - edge.last_served > QUIET_SECONDS:
                return

    @property
    def _service(self) -> Service:
        service: Service = self.config.app.state.service  # type: ignore[union-attr]
        return service

    def _protocol(self) -> PredictProtocol:
        return PredictProtocol(self.config, self.server_state, self.lifespan.state)
