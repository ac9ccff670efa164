"""The thread that runs the model, one job after the other."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

import torch

from service.inference.jobs import Job, as_job, run_jobs

logger = logging.getLogger(__name__)


class ModelThread:
    """A thread in inference mode; ``alive`` says whether it takes jobs."""

    def __init__(self) -> None:
        self.alive = False
        self._jobs: SimpleQueue[Job] = SimpleQueue()

    def start(self) -> None:
        """Start the thread."""
        self.alive = True
        threading.Thread(target=self._work, name="model", daemon=True).start()

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for the jobs that it has, which may take so long."""
        if self.alive:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self.run(lambda: None)
        self.alive = False

    def put(self, job: Job) -> None:
        """Have a job run; what it raises ends the thread."""
        self._jobs.put(job)

    async def run(self, call: Callable[[], object]) -> object:
        """Return what a call returns, or raise what it raises."""
        job, result = as_job(call)
        self.put(job)
        return await asyncio.wrap_future(result)

    def _work(self) -> None:
        try:
            with torch.inference_mode():
                run_jobs(self._jobs)
        except BaseException:  # nothing else would log it: Python lets a thread end without a word
            logger.critical("the model's thread has died; this process needs a restart", exc_info=True)
        finally:
            self.alive = False
