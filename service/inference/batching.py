"""Which batch sizes are run, and how many of the waiting images go into the next batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.inference.card import Card
from service.inference.pending import PendingImage

# Beyond it no model that was measured gave more images per second.
MAX_BATCH_SIZE = 64


class BatchModel(Protocol):
    """What the batcher needs of a model."""

    card: Card
    inline_size: int  # batches of up to this size are over so soon that they may run in the event loop

    @property
    def batch_sizes(self) -> Sequence[int]:
        """The batch sizes that it runs, the smallest first."""

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, shape (N, C), for images of shape (N, size)."""

    def warm_up(self, sizes: Sequence[int]) -> Iterator[None]:
        """Run batches of these sizes until they run at full speed in this thread, one batch a step."""


@dataclass(slots=True)
class Batch:
    """What the model runs on at once."""

    requests: list[PendingImage]
    images: NDArray[np.float32]
    model: BatchModel
    started: float  # by the monotonic clock


def batch_sizes(max_batch_size: int) -> tuple[int, ...]:
    """Return the batch sizes that may be run: the powers of two, and the largest allowed."""
    powers = itertools.takewhile(lambda size: size < max_batch_size, (1 << n for n in itertools.count()))
    return (*powers, max_batch_size)


def outcome(model: BatchModel, images: NDArray[np.float32]) -> NDArray[np.float32] | Exception:
    """Return the logits of a batch, or why there are none."""
    try:
        return model.logits(images)
    except Exception as error:
        return error


def plan_batches(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return, for each number of waiting images, how many to take and the batch size to run them in.

    Padding up to the next size is worth it for a quarter of the batch at most. Otherwise a full batch of the
    size below goes first, and the rest share the next one with what has arrived by then.
    """
    plan = [(0, 0)]
    for smaller, size in zip((0, *sizes), sizes, strict=False):
        for waiting in range(smaller + 1, size + 1):
            pad = waiting * 4 >= size * 3
            plan.append((waiting, size) if pad else (smaller, smaller))
    return plan
