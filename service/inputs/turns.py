"""Turns at the interpreter, which runs one thread at a time, for work that takes many milliseconds.

A thread that asks for the interpreter waits until a call into C is over, and 5 ms otherwise. An event loop
asks at each of its sockets, so a thread that works beside it lets it run earlier, between short calls.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.001
PIECE = 8192


class _Turn(threading.local):
    end = math.inf


_turn = _Turn()


def take_turns() -> None:
    """Have the calling thread take turns with others; ``let_others_run`` does nothing in any other thread."""
    _turn.end = 0.0


def let_others_run() -> None:
    """Let other threads run if this one has run for a millisecond since they last did.

    It then runs for as long as they did at least, so it has half of the time however much they have to do.
    """
    now = time.perf_counter()
    if now >= _turn.end:
        time.sleep(0)
        resumed = time.perf_counter()
        _turn.end = resumed + max(TURN_SECONDS, resumed - now)


def pieces(values: list[T]) -> Iterator[list[T]]:
    """Yield a list's values, some thousand at a time, and let others run meanwhile."""
    for start in range(0, len(values), PIECE):
        let_others_run()
        yield values[start : start + PIECE]
