"""The batch limit and the threads follow what was measured."""

from __future__ import annotations

import time

import pytest
import torch

from service.inference.measuring import choose_batch_limit, choose_threads, larger_may_pay


@pytest.mark.parametrize(
    ("milliseconds", "limit"),
    [
        ({1: 20, 2: 36, 4: 62, 8: 120, 16: 240}, 4),  # 4 at once give 65 a second, 8 give 67
        ({1: 14, 2: 28, 4: 56}, 1),  # nothing is won
        ({1: 0.03, 2: 0.04, 4: 0.06, 8: 0.1, 16: 0.16, 32: 0.3, 64: 0.6}, 64),
        ({1: 0.5, 2: 0.95, 4: 1.9, 8: 3.8}, 2),  # nothing is won, but two are short
        ({1: 100, 2: 110, 4: 120, 8: 510}, 4),  # eight at once would take too long
        ({1: 900, 2: 1000}, 1),  # even one does
    ],
)
def test_the_limit_is_the_smallest_size_within_a_twentieth_of_the_best(milliseconds, limit):
    assert choose_batch_limit({size: ms / 1000 for size, ms in milliseconds.items()}, 0.5) == limit


@pytest.mark.parametrize(
    ("milliseconds", "goes_on"),
    [
        ({1: 20}, True),
        ({1: 300}, False),
        ({1: 20, 2: 40}, True),
        ({1: 20, 2: 40, 4: 80}, False),
        ({1: 20, 2: 40, 4: 60}, True),
        ({1: 20, 2: 40, 4: 60, 8: 120}, True),
        ({1: 20, 2: 40, 4: 60, 8: 120, 16: 240}, False),
        ({1: 0.1, 2: 0.2, 4: 0.4, 8: 0.8}, True),  # it costs nothing to know
    ],
)
def test_larger_batches_are_tried_while_they_may_pay(milliseconds, goes_on):
    assert larger_may_pay({size: ms / 1000 for size, ms in milliseconds.items()}, 0.5) is goes_on


@pytest.fixture
def threads():
    """The number of threads before, restored."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_more_threads_are_used_as_long_as_they_pay(threads):
    assert choose_threads(lambda: time.sleep(0.012 / min(torch.get_num_threads(), 4)), 6) == 4
    assert torch.get_num_threads() == 4


def test_one_thread_is_enough_where_more_bring_nothing(threads):
    assert choose_threads(lambda: time.sleep(0.005), 4) == 1


def test_what_is_short_keeps_the_planned_threads(threads):
    torch.set_num_threads(3)

    assert choose_threads(lambda: None, 8) == 3
