"""The thread that decodes what would hold the event loop up: pictures, and large bodies that need care."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.errors import QueueFull, QueueTimeout
from service.inputs.turns import take_turns

T = TypeVar("T")

# However many bodies may wait by number, together they hold no more memory than this.
MAX_WAITING_BYTES = 1 << 26


class DecodingThread:
    """Decodes one body at a time.

    A picture costs many times what a prediction does. One thread, and a bounded number of bodies that wait
    for it, leave the processor and the memory to other requests.

    Use it as ``async with DecodingThread(...) as decoder``; leaving ends the thread.
    """

    def __init__(self, *, max_waiting: int, timeout_seconds: float) -> None:
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._waiting = 0
        self._waiting_bytes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder", initializer=take_turns)

    async def __aenter__(self) -> DecodingThread:
        """Start the thread now: once memory is short, it may be too late."""
        await asyncio.get_running_loop().run_in_executor(self._thread, int)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the thread after the body in hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, decode: Callable[[bytes], T], body: bytes) -> T:
        """Return what a function makes of a body, or raise what it raises.

        Raises:
            QueueFull: too many bodies wait already.
            QueueTimeout: its turn has not come, and then it is not decoded; or it took too long.
        """
        if self._waiting >= self._max_waiting or self._waiting_bytes + len(body) > MAX_WAITING_BYTES:
            raise QueueFull(f"{self._waiting} bodies wait to be decoded already; try again in a second")
        self._waiting += 1
        self._waiting_bytes += len(body)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._thread, decode, body)
        except TimeoutError:
            raise QueueTimeout(f"the body was not decoded within {self._timeout_seconds:g} s") from None
        finally:
            self._waiting -= 1
            self._waiting_bytes -= len(body)
