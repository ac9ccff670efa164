"""Threads that have run a model stay: one that ended as such a model is let go would crash the process.

The crash itself is a matter of a microsecond: see ``service.inference.jobs.run_jobs``.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from service.errors import InvalidModel
from service.inference.load_thread import LoadThread
from service.inference.model_thread import ModelThread

ENDING_SECONDS = 0.2  # what a thread that has nothing left to do needs to end, and far more


def test_the_models_thread_outlives_what_it_was_for():
    async def scenario():
        thread = ModelThread()
        thread.start()
        worker = await thread.run(threading.current_thread)
        await thread.finish(timeout_seconds=30)
        return worker, thread.alive

    worker, takes_jobs = asyncio.run(scenario())

    worker.join(ENDING_SECONDS)
    assert worker.is_alive()
    assert not takes_jobs


def test_the_models_thread_ends_the_job_in_hand_first():
    done = []

    async def scenario():
        thread = ModelThread()
        thread.start()
        begun, gate = threading.Event(), threading.Event()
        thread.put(lambda: (begun.set(), gate.wait(), done.append("first")))
        await asyncio.to_thread(begun.wait)
        await thread.finish(timeout_seconds=ENDING_SECONDS)
        assert not done  # it may take so long, and no longer
        gate.set()
        await thread.run(lambda: done.append("second"))

    asyncio.run(scenario())

    assert done == ["first", "second"]


def test_a_thread_whose_call_took_too_long_outlives_the_call():
    workers, gate = [], threading.Event()

    def slow():
        workers.append(threading.current_thread())
        gate.wait()

    async def scenario():
        thread = LoadThread(timeout_seconds=ENDING_SECONDS)
        with pytest.raises(InvalidModel, match=r"took over 0\.2 s to load and check"):
            await thread.run(slow)
        gate.set()
        return await thread.run(threading.current_thread)

    next_one = asyncio.run(scenario())

    workers[0].join(ENDING_SECONDS)
    assert workers[0].is_alive()
    assert next_one is not workers[0]
