"""Bodies are decoded one at a time, in a thread; those that wait are bounded in number, size and time."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager

from service.errors import QueueFull, QueueTimeout
from service.inputs.decoding import MAX_WAITING_BYTES, Decoder, DecodingThread, TakesLong


@asynccontextmanager
async def decoding_thread(max_waiting, timeout_seconds):
    thread = DecodingThread(max_waiting, timeout_seconds, expected_seconds=0)
    await thread.start()
    yield thread
    thread.stop()


async def run_many(decode, bodies, *, max_waiting, timeout_seconds):
    async with decoding_thread(max_waiting, timeout_seconds) as decoder:
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


def test_a_body_that_would_wait_for_too_long_is_refused_at_once():
    def decode(body):
        time.sleep(0.1)

    async def run():
        async with decoding_thread(99, 2) as decoder:
            for _ in range(10):
                await decoder.run(decode, b"")
            burst = [decoder.run(decode, b"") for _ in range(40)]
            return await asyncio.gather(*burst, return_exceptions=True)

    outcomes = asyncio.run(run())

    assert {type(outcome) for outcome in outcomes} == {type(None), QueueFull}
    assert 10 <= outcomes.count(None) < 20  # as many as fit into half of the time, at the mean until now


def test_what_is_quick_waits_for_nothing_that_takes_long():
    free = threading.Event()

    def decode(body, *, quick):
        if body == b"quick":
            return "decoded"
        if quick:
            raise TakesLong
        return free.wait(10)

    async def run():
        async with Decoder(max_waiting=9, timeout_seconds=20) as decoder:
            long = [asyncio.create_task(decoder.run(decode, b"long")) for _ in range(3)]
            quick = await decoder.run(decode, b"quick")
            waiting = [not task.done() for task in long]
            free.set()
            return quick, waiting, await asyncio.gather(*long)

    assert asyncio.run(run()) == ("decoded", [True] * 3, [True] * 3)


def test_what_decoding_raises_is_raised():
    [outcome] = asyncio.run(run_many(int, [b"x"], max_waiting=1, timeout_seconds=60))

    assert isinstance(outcome, ValueError)


def test_the_threads_are_there_before_the_first_body():
    async def started():
        before = set(threading.enumerate())  # the decoder of another test may be about to end
        async with Decoder(max_waiting=1, timeout_seconds=1):
            return [thread.name for thread in set(threading.enumerate()) - before]

    assert [name.split("_")[0] for name in asyncio.run(started())] == ["decoder", "decoder"]
