"""Outlier scores: how little an input looks like what a model was trained on.

The score is the free energy of the logits at temperature 1 (Liu et al., "Energy-based Out-of-distribution
Detection", NeurIPS 2020). An input whose energy is above the threshold is an outlier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training import TrainingError

# What other kernels may add to an energy: golden cases have to agree within this.
MARGIN = 1e-3


def energy(logits: ArrayLike) -> NDArray[np.float64]:
    """Return ``-logsumexp`` of each row of logits, shape (N, C); outliers have the higher ones."""
    values = np.asarray(logits, np.float64)
    largest = values.max(axis=1, keepdims=True)  # keeps exp from overflowing
    result: NDArray[np.float64] = -(largest[:, 0] + np.log(np.exp(values - largest).sum(axis=1)))
    return result


def threshold(inlier_energies: ArrayLike, rate: float) -> float:
    """Return the lowest of the energies that leaves at most ``rate`` of them above it.

    Raises:
        TrainingError: there are no energies, one is not finite, or the rate is not at least 0 and below 1.
    """
    energies = np.sort(_finite(inlier_energies))
    if not 0 <= rate < 1:
        raise TrainingError(f"the rate of outliers is {rate}; it is at least 0 and below 1")
    # 0.29 * 100 is 28.999999999999996, which means 29.
    above = int(rate * len(energies) + 1e-9)
    return float(energies[len(energies) - 1 - above])


def auroc(inlier_energies: ArrayLike, outlier_energies: ArrayLike) -> float:
    """Return the probability that an outlier has a higher energy than an inlier; ties count half.

    Raises:
        TrainingError: there are no energies of one kind, or one is not finite.
    """
    inliers, outliers = np.sort(_finite(inlier_energies)), _finite(outlier_energies)
    below = np.searchsorted(inliers, outliers, side="left")
    not_above = np.searchsorted(inliers, outliers, side="right")
    return float((below + not_above).mean() / 2 / len(inliers))


def fit(inliers: ArrayLike, outliers: ArrayLike, rate: float) -> tuple[dict[str, str | float], str]:
    """Return what a model card says of outliers, and how well that tells the examples apart.

    Raises:
        TrainingError: as ``threshold`` and ``auroc`` do.
    """
    most = round(threshold(inliers, rate) + MARGIN, 4)
    flagged = [np.count_nonzero(np.asarray(energies) > most) for energies in (outliers, inliers)]
    counts = [np.size(energies) for energies in (outliers, inliers)]
    told = (
        f"outliers: above an energy of {most:.2f} are {flagged[0]} of {counts[0]} pictures of none of the "
        f"classes, and {flagged[1]} of {counts[1]} of the classes; AUROC {auroc(inliers, outliers):.3f}"
    )
    return {"score": "energy", "threshold": most}, told


def _finite(energies: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(energies, np.float64)
    if not values.size:
        raise TrainingError("there are no examples to compare energies of")
    if not np.isfinite(values).all():
        raise TrainingError("an example has an energy that is not finite")
    return values
