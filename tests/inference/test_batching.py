"""Which batch sizes there are, and how many of the waiting requests each batch takes."""

from __future__ import annotations

from service.inference.batching import batch_sizes, plan_batches


def test_batches_are_padded_by_a_quarter_at_most():
    sizes = batch_sizes(64)

    assert sizes == (1, 2, 4, 8, 16, 32, 64)
    for waiting, (taken, size) in enumerate(plan_batches(sizes)):
        assert taken <= min(waiting, size)
        assert (size - taken) * 4 <= size
        assert taken * 2 > waiting or waiting == 0


def test_the_largest_batch_is_the_limit():
    assert batch_sizes(1) == (1,)
    assert batch_sizes(48) == (1, 2, 4, 8, 16, 32, 48)
    assert plan_batches(batch_sizes(48))[-1] == (48, 48)
