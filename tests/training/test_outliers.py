"""Outlier scores: energy, its threshold, and how well it tells outliers from inliers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training import TrainingError
from training.outliers import auroc, energy, threshold


def test_energy_is_the_negative_logsumexp_of_each_row() -> None:
    logits = np.random.default_rng(0).normal(0, 10, (50, 10)).astype(np.float32)

    expected = -torch.logsumexp(torch.from_numpy(logits).double(), dim=1).numpy()
    np.testing.assert_allclose(energy(logits), expected, rtol=1e-12)


def test_energy_of_large_logits_does_not_overflow() -> None:
    np.testing.assert_allclose(
        energy([[1000.0, 1000.0], [-1000.0, -1000.0]]), np.array([-1000, 1000]) - np.log(2)
    )


@pytest.mark.parametrize(
    ("count", "rate", "above"),
    [
        (1000, 0.005, 5),
        (999, 0.005, 4),
        (100, 0.07, 7),
        (100, 0.29, 29),
        (100, 0, 0),
        (1, 0.5, 0),
        (3, 0.99, 2),
    ],
)
def test_threshold_leaves_at_most_the_rate_above_it(count: int, rate: float, above: int) -> None:
    energies = np.random.default_rng(1).permutation(count).astype(float)

    assert (energies > threshold(energies, rate)).sum() == above


def test_threshold_of_equal_energies_flags_none() -> None:
    assert threshold([2.0] * 10, 0.5) == 2.0


@pytest.mark.parametrize(
    ("inliers", "outliers", "expected"),
    [
        ([1, 2], [3, 4], 1.0),
        ([3, 4], [1, 2], 0.0),
        ([1, 1], [1], 0.5),
        ([1, 3], [2], 0.5),
        ([1, 2, 3], [2, 4], 0.75),
    ],
)
def test_auroc_counts_pairs(inliers: list[float], outliers: list[float], expected: float) -> None:
    assert auroc(inliers, outliers) == expected


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(TrainingError, match="it is at least 0 and below 1"):
        threshold([1.0], rate)


@pytest.mark.parametrize("energies", [[], [float("nan")], [float("inf")]])
def test_energies_that_cannot_be_compared_are_refused(energies: list[float]) -> None:
    with pytest.raises(TrainingError, match="energ"):
        threshold(energies, 0.1)
    with pytest.raises(TrainingError, match="energ"):
        auroc([1.0], energies)
