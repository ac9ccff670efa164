"""How many images a batch may have, and how many threads compute it: as measured while a model is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

# A batch this short holds nobody up: it may be as large as it can, and is computed in the event loop.
SHORT_SECONDS = 1e-3
# What a larger batch is worth having for, in images per second. With a tenth, ResNet-18 took one image at a
# time on one core, and gave 8 % fewer answers to eight clients than with two or four.
BATCH_GAIN = 1.05
THREAD_GAIN = 1.1
# So many calls are timed, and more of those that are over soon.
TIMED_CALLS, TIMED_SECONDS = 3, 0.005


def shortest_seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes; the shortest of a few, because other processes can only add to it."""
    times: list[float] = []
    while len(times) < TIMED_CALLS or sum(times) < TIMED_SECONDS:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def choose_batch_limit(batch_seconds: Mapping[int, float], longest_seconds: float) -> int:
    """Return how many images a batch may have, given the time that one of each size takes.

    It is the smallest size that gives a twentieth less than the most images per second, so that an image
    waits for few others, or the largest whose batch is short in any case. No batch takes longer than
    ``longest_seconds``, unless a single image does.
    """
    usable = {size: seconds for size, seconds in batch_seconds.items() if seconds <= longest_seconds}
    usable = usable or {1: batch_seconds[1]}
    most = max(size / seconds for size, seconds in usable.items())
    worth_it = min(size for size, seconds in usable.items() if size / seconds * BATCH_GAIN >= most)
    return max([worth_it, *(size for size, seconds in usable.items() if seconds <= SHORT_SECONDS)])


def larger_may_pay(batch_seconds: Mapping[int, float], longest_seconds: float) -> bool:
    """Return whether a larger batch than those that were measured may give more images per second.

    Not if the last one took too long for its images to wait, or the last two brought nothing.
    """
    seconds = batch_seconds[max(batch_seconds)]
    if seconds <= SHORT_SECONDS:
        return True
    if 2 * seconds > longest_seconds * BATCH_GAIN:
        return False
    rates = [size / seconds for size, seconds in batch_seconds.items()]
    return max(rates[-2:]) > max(rates[:-2], default=0) * (1 + (BATCH_GAIN - 1) / 2)


def choose_threads(call: Callable[[], object], most: int) -> int:
    """Return how many threads should compute a batch, ``most`` at most, and have this thread use so many.

    A call that is short with one stays with the threads that are set: more would wait for each other for
    longer than they compute. Else it is the smallest number, doubled from 1, that takes a tenth longer than
    the best.
    """
    planned = torch.get_num_threads()
    counts = [count for count in (1 << n for n in range(most.bit_length())) if count < most] + [most]
    seconds = {}
    for count in counts:
        torch.set_num_threads(count)
        call()  # the first with so many starts them
        seconds[count] = shortest_seconds(call)
        # Of one thread: on a busy machine several wait for the one of them that has no CPU.
        if count == 1 and seconds[count] <= SHORT_SECONDS:
            torch.set_num_threads(planned)
            return planned
    chosen = min(count for count in counts if seconds[count] <= min(seconds.values()) * THREAD_GAIN)
    torch.set_num_threads(chosen)
    return chosen
