"""Calls that another thread makes for a coroutine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias, TypeVar

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
