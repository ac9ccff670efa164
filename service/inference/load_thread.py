"""Threads that read, load and prove weights files, which may hold programs that never end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from service.errors import InvalidModel

T = TypeVar("T")

MAX_LEFT = 3


class LoadThread:
    """Runs calls in a thread, so that the event loop waits neither for a disk nor for PyTorch.

    Python can't end a thread: one that takes too long is left to itself, and keeps no process from ending.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._left = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises.

        Raises:
            InvalidModel: it takes longer than it may, or too many before it have.
        """
        if self._left == MAX_LEFT:
            raise InvalidModel(f"{MAX_LEFT} weights files have taken too long to load; restart this replica")
        result: Future[T] = Future()

        def work() -> None:
            result.set_running_or_notify_cancel()
            try:
                result.set_result(call())
            except BaseException as error:
                result.set_exception(error)

        threading.Thread(target=work, name="load", daemon=True).start()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.wrap_future(result)
        except TimeoutError:
            self._left += 1
            raise InvalidModel(
                f"the weights file took over {self._timeout_seconds:g} s to load and check "
                "(LOAD_TIMEOUT_SECONDS)"
            ) from None
