"""Calls that another thread makes for a coroutine, and the loop of such a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import NoReturn, TypeAlias, TypeVar

T = TypeVar("T")

Job: TypeAlias = Callable[[], object]


def as_job(call: Callable[[], T]) -> tuple[Job, Future[T]]:
    """Return a job that makes a call, unless it was cancelled before, and the future of what it gives."""
    future: Future[T] = Future()

    def job() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

    return job, future


def run_jobs(jobs: SimpleQueue[Job]) -> NoReturn:
    """Do one job after the other, for as long as the process lives.

    A thread that has run a model must not end before: it would let go of what oneDNN keeps in it for each
    graph, and where another thread lets go of such a model meanwhile, the process crashes
    (https://github.com/uxlfoundation/oneDNN/blob/v3.12/src/graph/backend/dnnl/thread_local_cache.hpp: the
    destructor of ``cache_type_t`` erases what ``remove_if_exist`` may have just cleared).
    """
    while True:
        job = jobs.get()
        job()
        del job  # it holds what it was about: a model, or a batch
