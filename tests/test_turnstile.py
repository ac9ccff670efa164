"""The turnstile: everybody comes in again, in order, and never too many at once."""

from __future__ import annotations

import asyncio

from service.turnstile import REFUSED_PER_TURN, TURN_SECONDS, Turnstile


def test_a_few_may_stay_and_a_turn_later_a_few_more():
    async def run():
        turnstile = Turnstile()
        first = [turnstile.refused() for _ in range(REFUSED_PER_TURN + 2)]
        while turnstile.refused():
            await asyncio.sleep(0.001)
        return first

    assert asyncio.run(run()) == [False] * REFUSED_PER_TURN + [True] * 2


def test_all_come_in_again_in_the_order_of_their_going():
    everybody = list(range(2 * REFUSED_PER_TURN + 1))

    async def run():
        turnstile, came = Turnstile(), []
        for number in everybody:
            turnstile.wait_outside(lambda number=number: came.append(number))
        began = asyncio.get_running_loop().time()
        while len(came) < len(everybody):
            await asyncio.sleep(0.001)
        return came, asyncio.get_running_loop().time() - began

    came, seconds = asyncio.run(run())

    assert came == everybody
    assert seconds > 2.9 * TURN_SECONDS


def test_who_is_sent_out_while_coming_in_gets_another_turn():
    async def run():
        turnstile, turns = Turnstile(), []
        done = asyncio.Event()

        def come_in():
            turns.append(1)
            if len(turns) < 3:
                turnstile.wait_outside(come_in)
            else:
                done.set()

        turnstile.wait_outside(come_in)
        await done.wait()
        return turns

    assert asyncio.run(run()) == [1, 1, 1]
