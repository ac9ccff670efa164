"""Bodies are decoded one at a time, in a thread; those that wait are bounded in number, size and time."""

from __future__ import annotations

import asyncio
import threading
import time

from service.errors import QueueFull, QueueTimeout
from service.inputs.decoding import MAX_WAITING_BYTES, DecodingThread


async def run_many(decode, bodies, **limits):
    async with DecodingThread(**limits) as decoder:
        return await asyncio.gather(*(decoder.run(decode, body) for body in bodies), return_exceptions=True)


def test_bodies_wait_in_bounded_number_and_size():
    large = bytes(MAX_WAITING_BYTES // 2 + 1)

    by_number = asyncio.run(run_many(len, [b"small"] * 5, max_waiting=3, timeout_seconds=60))
    by_size = asyncio.run(run_many(len, [large] * 3, max_waiting=9, timeout_seconds=60))

    assert [isinstance(outcome, QueueFull) for outcome in by_number] == [False] * 3 + [True] * 2
    assert [isinstance(outcome, QueueFull) for outcome in by_size] == [False, True, True]
    assert (by_number[0], by_size[0]) == (5, len(large))


def test_what_was_not_decoded_in_time_is_not_decoded_later():
    decoded = []

    def decode(body):
        time.sleep(0.1)
        decoded.append(body)

    outcomes = asyncio.run(run_many(decode, [b"1", b"2", b"3"], max_waiting=9, timeout_seconds=0.05))
    time.sleep(0.3)

    assert all(isinstance(outcome, QueueTimeout) for outcome in outcomes)
    assert decoded == [b"1"]


def test_what_decoding_raises_is_raised():
    [outcome] = asyncio.run(run_many(int, [b"x"], max_waiting=1, timeout_seconds=60))

    assert isinstance(outcome, ValueError)


def test_the_thread_is_there_before_the_first_body():
    async def threads():
        async with DecodingThread(max_waiting=1, timeout_seconds=1):
            return [thread.name for thread in threading.enumerate()]

    assert any(name.startswith("decoder") for name in asyncio.run(threads()))
