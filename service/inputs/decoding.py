"""The threads that decode what would hold the event loop up: pictures, and large bodies that need care."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from service.errors import QueueFull, QueueTimeout
from service.inputs.turns import take_turns

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# However many bodies may wait by number, together they hold no more memory than this.
MAX_WAITING_BYTES = 1 << 26
# However many there may be, none is taken that is likely to wait for longer than this share of its time.
WAITING_SHARE = 0.5
RECENT = 8  # bodies, of whose times the mean is taken
QUICK_BYTES = 1 << 17  # a body of more may take long, whatever it is
# What a body is taken to need before any has come.
QUICK_SECONDS, LONG_SECONDS = 0.005, 0.2


class TakesLong(Exception):
    """Decoding that was to be quick would take more than some milliseconds."""


class Decode(Protocol[T_co]):
    """Decodes a body; raises TakesLong early if it is to be ``quick`` and can't be."""

    def __call__(self, body: bytes, /, *, quick: bool) -> T_co: ...


class Decoder:
    """Two threads, one for what takes a few milliseconds and one for the rest.

    A small picture waits for other small ones, and never for the largest that some client may send.

    Use it as ``async with Decoder(...) as decoder``; leaving ends the threads.
    """

    def __init__(self, *, max_waiting: int, timeout_seconds: float) -> None:
        self._quick = DecodingThread(max_waiting, timeout_seconds, QUICK_SECONDS)
        self._long = DecodingThread(max_waiting, timeout_seconds, LONG_SECONDS)

    async def __aenter__(self) -> Decoder:
        """Start the threads now: once memory is short, it may be too late."""
        await self._quick.start()
        await self._long.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the threads after the bodies in hand."""
        self._quick.stop()
        self._long.stop()

    async def run(self, decode: Decode[T], body: bytes) -> T:
        """Return what a function makes of a body, or raise what it raises.

        Raises:
            QueueFull, QueueTimeout: what ``DecodingThread.run`` raises.
        """
        if len(body) <= QUICK_BYTES:
            with suppress(TakesLong):
                return await self._quick.run(partial(decode, quick=True), body)
        return await self.run_long(partial(decode, quick=False), body)

    async def run_long(self, decode: Callable[[bytes], T], body: bytes) -> T:
        """Return what ``run`` does, of what is known to take long."""
        return await self._long.run(decode, body)


class DecodingThread:
    """Decodes one body at a time.

    A picture costs many times what a prediction does. A bounded number of bodies that wait leave the
    processor and the memory to other requests.
    """

    def __init__(self, max_waiting: int, timeout_seconds: float, expected_seconds: float) -> None:
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._waiting = 0
        self._waiting_bytes = 0
        self._mean_seconds = expected_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder", initializer=take_turns)

    async def start(self) -> None:
        """Start the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, int)

    def stop(self) -> None:
        """End the thread after the body in hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, decode: Callable[[bytes], T], body: bytes) -> T:
        """Return what a function makes of a body, or raise what it raises.

        Raises:
            QueueFull: too many bodies wait already, for the time that such bodies have taken lately.
            QueueTimeout: its turn has not come, and then it is not decoded; or it took too long.
        """
        too_long = self._waiting * self._mean_seconds > WAITING_SHARE * self._timeout_seconds
        too_many = self._waiting >= self._max_waiting or self._waiting_bytes + len(body) > MAX_WAITING_BYTES
        if too_long or too_many:
            raise QueueFull(f"{self._waiting} bodies wait to be decoded already; try again in a second")
        self._waiting += 1
        self._waiting_bytes += len(body)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._time, decode, body
                )
        except TimeoutError:
            raise QueueTimeout(f"the body was not decoded within {self._timeout_seconds:g} s") from None
        finally:
            self._waiting -= 1
            self._waiting_bytes -= len(body)

    def _time(self, decode: Callable[[bytes], T], body: bytes) -> T:
        """Decode a body, in the thread, and learn how long such bodies take."""
        began = time.perf_counter()
        try:
            return decode(body)
        finally:
            self._mean_seconds += (time.perf_counter() - began - self._mean_seconds) / RECENT
