"""How well confidence agrees with accuracy, and the temperature that corrects it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The fraction of rows of (N, 10) whose largest logit is at the label."""
    return float((logits.argmax(dim=1) == labels).double().mean())


def reliability(logits: Tensor, labels: Tensor, bins: int = 15) -> list[tuple[int, float, float]]:
    """For each of `bins` even ranges of confidence: how many images, their mean confidence and accuracy."""
    confidence, digit = F.softmax(logits.double(), dim=1).max(dim=1)
    correct = (digit == labels).double()
    bin_index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    rows = []
    for index in range(bins):
        inside = bin_index == index
        count = int(inside.sum())
        mean = (float(confidence[inside].mean()), float(correct[inside].mean())) if count else (0.0, 0.0)
        rows.append((count, *mean))
    return rows


def expected_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """The mean gap of confidence and accuracy over bins, weighted by their images (Guo et al., 2017)."""
    rows = reliability(logits, labels, bins)
    return sum(count * abs(confidence - correct) for count, confidence, correct in rows) / len(labels)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The number by which to divide logits so that their cross entropy is least.

    A ternary search over its logarithm: the loss has one valley, and no step size may decide the answer.
    """
    low, high = -2.0, 2.0
    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / torch.tensor(log_temperature).double().exp(), labels))

    for _ in range(60):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(torch.tensor((low + high) / 2).exp())
