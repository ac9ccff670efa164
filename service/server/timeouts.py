"""Time limits on slow clients: what a connection waits for, and for how long it may.

The server checks every connection from time to time; a request pays for it with three assignments, and with
no timer. Two checks that find the same stage of the same message have seen the time between them pass in it.
"""

from __future__ import annotations

import math
import time
from enum import Enum, auto

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

    __slots__ = ("_message", "_stage", "since")

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._message: object = None
        self.since = time.monotonic()

    def seconds(self, stage: Stage, message: object, now: float) -> float:
        """Return for how long the connection has been seen in this stage of this message."""
        if stage is not self._stage or message is not self._message:
            self._stage, self._message, self.since = stage, message, now
        return now - self.since


def stage_limits(settings: Settings) -> dict[Stage, float]:
    """Return the seconds that a connection may be in each stage."""
    return {
        Stage.REQUEST: settings.keep_alive_seconds,
        Stage.HEADERS: settings.header_timeout_seconds,
        Stage.BODY: settings.body_timeout_seconds,
        Stage.ANSWER: math.inf,
        Stage.CLIENT: settings.body_timeout_seconds,
    }
