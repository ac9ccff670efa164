"""How well the energy of its logits tells a network's outliers: the threshold, and what is flagged by it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from training.data import Digits
from training.negatives import MEASURED
from training.outliers import MARGIN, auroc, energy, threshold

SEED = 314


@dataclass(frozen=True)
class OutlierReport:
    """The energy above which an image is an outlier, and the shares of images, 0..1, that are above it."""

    threshold: float
    digits: float
    auroc: float
    kinds: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float]:
        """What the card says of it."""
        return {
            "test_outlier_rate": self.digits,
            "negatives_outlier_rate": statistics.fmean(self.kinds.values()),
            "outlier_auroc": self.auroc,
        }


def measure_outliers(
    predict: Callable[[Tensor], Tensor], held_out: Tensor, test: Tensor, digits: Digits, rate: float
) -> OutlierReport:
    """Fit a threshold that flags this share of held-out digits, and see what else it flags.

    `held_out` and `test` are logits (N, 10) of digits, those of `digits` the latter; `predict` gives the
    logits of pixels (N, 1, 28, 28). There are as many of each kind of negatives, at most 500, whatever it is.
    """
    limit = round(threshold(energy(held_out.numpy()), rate) + MARGIN, 4)
    inliers = energy(test.numpy())
    energies = {kind: energy(predict(images).numpy()) for kind, images in measured_negatives(digits).items()}
    return OutlierReport(
        threshold=limit,
        digits=float((inliers > limit).mean()),
        auroc=auroc(inliers, np.concatenate(list(energies.values()))),
        kinds={kind: float((each > limit).mean()) for kind, each in energies.items()},
    )


def measured_negatives(digits: Digits) -> dict[str, Tensor]:
    """Images of each kind of negatives, always the same for the same digits: pixels (N, 1, 28, 28)."""
    count = min(500, len(digits) // 2)
    made = {}
    for number, kind in enumerate(MEASURED):
        images = kind(digits, count, np.random.default_rng(SEED + number))
        made[kind.__name__] = images.float() / 255
    return made
