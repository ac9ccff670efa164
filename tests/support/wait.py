"""Waiting for something to become true: the one poller of the tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Far more than anything takes: a busy machine makes a test slow, not red.
DEADLINE_SECONDS = 30.0
INTERVAL_SECONDS = 0.02


def until(condition: Callable[[], T], what: str = "the condition", *, seconds: float = DEADLINE_SECONDS) -> T:
    """Wait for a condition and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(INTERVAL_SECONDS)
    return found


async def until_async(condition: Callable[[], T], what: str = "the condition") -> T:
    """Wait for a condition as ``until`` does, and let the event loop's other tasks run."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS:g} s: {what}"
        await asyncio.sleep(0.001)
    return found
