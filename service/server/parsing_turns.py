"""Turns at the event loop for connections that have sent more than the loop should parse at once.

A megabyte in chunks of one byte takes half a second to parse, and a socket may hold several: sixteen clients
would keep everybody else waiting for many seconds. So connections go round robin, a small part of what they
have sent at a time, and between slices of a millisecond the loop sees to everything else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

SLICE_SECONDS = 0.001


class ParsingTurns:
    """The connections that wait for their turn, in order."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def wait(self, take_turn: Callable[[], None]) -> None:
        """Have this called when it is the connection's turn; it may wait again at once."""
        self._waiting.append(take_turn)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run_slice)

    def _run_slice(self) -> None:
        end = time.perf_counter() + SLICE_SECONDS
        try:
            while self._waiting and time.perf_counter() < end:
                self._waiting.popleft()()
        finally:
            self._scheduled = False
            if self._waiting:
                self._schedule()
