"""Where a trainer gets its images from, one epoch after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from training.augment import augmentation
from training.data import Digits


class Batch(NamedTuple):
    """Images (N, 1, 28, 28) float32 in 0..1, labels (N,), and probabilities (N, 10) if they were taught."""

    images: Tensor
    labels: Tensor
    taught: Tensor | None


class Batches(Protocol):
    """Training images to be learned from again and again."""

    def __len__(self) -> int:
        """How many images an epoch has."""

    def epoch(self, number: int, picks: Iterable[Tensor]) -> Iterator[Batch]:
        """For each tensor of indices, the batch of these images as they look in this epoch, from 1 on."""


class Augmented:
    """Images that look new each time, with their labels alone."""

    def __init__(self, digits: Digits, *, defects: float, warp: float, device: torch.device) -> None:
        self.images = digits.images.to(device)
        self.labels = digits.labels.to(device)
        self.augment = augmentation(defects=defects, warp=warp)

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(self, number: int, picks: Iterable[Tensor]) -> Iterator[Batch]:  # noqa: ARG002
        """Augment each batch with random numbers from torch's global generator."""
        for indices in picks:
            indices = indices.to(self.images.device)
            yield Batch(self.augment(self.images[indices].float() / 255), self.labels[indices], None)
