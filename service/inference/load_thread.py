"""Threads that read, load and prove weights files, which may hold programs that never end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from service.errors import InvalidModel
from service.inference.jobs import Job, as_job, run_jobs

T = TypeVar("T")

MAX_LEFT = 3


class LoadThread:
    """A thread that makes calls, so that the event loop waits neither for a disk nor for PyTorch.

    Python can't end a call: a thread that takes too long is left to itself, and keeps no process from ending.
    The next call has a new one.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._left = 0
        self._jobs = _start()

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises.

        Raises:
            InvalidModel: it takes longer than it may, or too many before it have.
        """
        if self._left == MAX_LEFT:
            raise InvalidModel(f"{MAX_LEFT} weights files have taken too long to load; restart this replica")
        job, result = as_job(call)
        self._jobs.put(job)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.wrap_future(result)
        except TimeoutError:
            self._left += 1
            self._jobs = _start()
            raise InvalidModel(
                f"the weights file took over {self._timeout_seconds:g} s to load and check "
                "(LOAD_TIMEOUT_SECONDS)"
            ) from None


def _start() -> SimpleQueue[Job]:
    """Start a thread, and return the queue of its jobs.

    It is there before it is needed: where there is no memory for a thread to begin with, Python waits for it
    for ever (https://github.com/python/cpython/issues/140746).
    """
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=run_jobs, args=(jobs,), name="load", daemon=True).start()
    return jobs
