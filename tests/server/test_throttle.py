"""The throttle on refusals: paused connections resume in order, and never too many at once."""

from __future__ import annotations

import asyncio

from service.turnstile import REFUSED_PER_TURN, TURN_SECONDS, Turnstile
from tests.support.wait import until_async


def test_an_interval_has_room_for_some_refusals_and_the_next_one_for_more():
    async def run():
        throttle = Turnstile()
        first = [throttle.refused() for _ in range(REFUSED_PER_TURN + 2)]
        await until_async(lambda: not throttle.refused())
        return first

    assert asyncio.run(run()) == [False] * REFUSED_PER_TURN + [True] * 2


def test_paused_connections_resume_in_order_over_several_intervals():
    numbers = list(range(2 * REFUSED_PER_TURN + 1))

    async def run():
        throttle, resumed = Turnstile(), []
        for number in numbers:
            throttle.wait_outside(lambda number=number: resumed.append(number))
        began = asyncio.get_running_loop().time()
        await until_async(lambda: len(resumed) == len(numbers))
        return resumed, asyncio.get_running_loop().time() - began

    resumed, seconds = asyncio.run(run())

    assert resumed == numbers
    assert seconds > 2.9 * TURN_SECONDS


def test_a_connection_that_is_paused_while_it_resumes_resumes_again():
    async def run():
        throttle, times = Turnstile(), []
        done = asyncio.Event()

        def resume():
            times.append(1)
            if len(times) < 3:
                throttle.wait_outside(resume)
            else:
                done.set()

        throttle.wait_outside(resume)
        await done.wait()
        return times

    assert asyncio.run(run()) == [1, 1, 1]
