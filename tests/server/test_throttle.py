"""The throttle on refusals: paused connections resume in order, and never too many at once."""

from __future__ import annotations

import asyncio

from service.server.throttle import INTERVAL_SECONDS, REFUSALS_PER_INTERVAL, Throttle
from tests.support.wait import until_async


def test_an_interval_has_room_for_some_refusals_and_the_next_one_for_more():
    async def run():
        throttle = Throttle()
        first = [throttle.count_refusal() for _ in range(REFUSALS_PER_INTERVAL + 2)]
        await until_async(lambda: not throttle.count_refusal())
        return first

    assert asyncio.run(run()) == [False] * REFUSALS_PER_INTERVAL + [True] * 2


def test_paused_connections_resume_in_order_over_several_intervals():
    numbers = list(range(2 * REFUSALS_PER_INTERVAL + 1))

    async def run():
        throttle, resumed = Throttle(), []
        for number in numbers:
            throttle.pause(lambda number=number: resumed.append(number))
        began = asyncio.get_running_loop().time()
        await until_async(lambda: len(resumed) == len(numbers))
        return resumed, asyncio.get_running_loop().time() - began

    resumed, seconds = asyncio.run(run())

    assert resumed == numbers
    assert seconds > 2.9 * INTERVAL_SECONDS


def test_a_connection_that_is_paused_while_it_resumes_resumes_again():
    async def run():
        throttle, times = Throttle(), []
        done = asyncio.Event()

        def resume():
            times.append(1)
            if len(times) < 3:
                throttle.pause(resume)
            else:
                done.set()

        throttle.pause(resume)
        await done.wait()
        return times

    assert asyncio.run(run()) == [1, 1, 1]
