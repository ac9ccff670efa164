"""Time limits on slow clients: what a connection waits for, and for how long it may.

The server checks every connection from time to time; a request pays for it with three assignments, and with
no timer. Two checks that find the same stage of the same message have seen the time between them pass in it.
"""

from __future__ import annotations

from enum import Enum, auto

from service.errors import RequestTimeout
from service.settings import Settings


class Stage(Enum):
    """What a connection waits for."""

    REQUEST = auto()  # the next one
    HEADERS = auto()
    BODY = auto()
    ANSWER = auto()  # ours; it has limits of its own
    CLIENT = auto()  # to read what has been written


class StageTimer:
    """Measures how long one connection has been in its stage."""

    __slots__ = ("_message", "_since", "_stage")

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._message: object = None
        self._since = 0.0

    def seconds(self, stage: Stage, message: object, now: float) -> float:
        """Return for how long the connection has been seen in this stage of this message."""
        if stage is not self._stage or message is not self._message:
            self._stage, self._message, self._since = stage, message, now
        return now - self._since


def limit_of(stage: Stage, settings: Settings) -> float:
    """Return the seconds that a connection may be in a stage."""
    match stage:
        case Stage.REQUEST:
            return settings.keep_alive_seconds
        case Stage.HEADERS:
            return settings.header_timeout_seconds
        case Stage.BODY | Stage.CLIENT:
            return settings.body_timeout_seconds
        case Stage.ANSWER:
            return float("inf")


def timeout_error(stage: Stage, settings: Settings) -> RequestTimeout:
    """Return what to answer to a request whose headers or body did not arrive in time."""
    part = "headers" if stage is Stage.HEADERS else "body"
    return RequestTimeout(f"the {part} did not arrive within {limit_of(stage, settings):g} s")
