"""The thread that runs the model, one job after the other."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

import torch

from service.inference.jobs import Job, as_job

logger = logging.getLogger(__name__)


class ModelThread:
    """A thread in inference mode; ``alive`` says whether it runs."""

    def __init__(self) -> None:
        self.alive = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.alive = True
        self._thread.start()

    async def stop(self, timeout_seconds: float) -> None:
        """End the thread after the job it runs, which may take so long."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, timeout_seconds)

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
                while (job := self._jobs.get()) is not None:
                    job()
        except BaseException:  # nothing else would log it: Python lets a thread end without a word
            logger.critical("the model's thread has died; this process needs a restart", exc_info=True)
        finally:
            self.alive = False
