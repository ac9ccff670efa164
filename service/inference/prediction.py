"""Logits to predictions: the class, its confidence, and the probability of every class."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.inference.card import Card


class Prediction(NamedTuple):
    """One image's answer: the place of the likeliest class, its probability, and all of them, shape (C,).

    ``energy`` is there if the model's card has a threshold for it.
    """

    place: int
    confidence: float
    probabilities: NDArray[np.float32]
    model: Card
    energy: float | None = None

    @property
    def label(self) -> str | int:
        """The name or number of the class."""
        return self.model.classes[self.place]

    @property
    def outlier(self) -> bool | None:
        """Whether the image is unlike those that the model was trained on; None if that is not known."""
        threshold = self.model.outlier_threshold
        return None if self.energy is None or threshold is None else self.energy > threshold

    def likeliest(self, count: int) -> list[tuple[str | int, float]]:
        """Return the likeliest classes and their probabilities, the likeliest first."""
        places = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.model.classes[place], float(self.probabilities[place])) for place in places]


def predictions(logits: NDArray[np.float32], card: Card) -> list[Prediction]:
    """Return a prediction for each row of logits, shape (N, C).

    One pass of exponentials gives all: of their sum the likeliest class has exp(0), and minus the logarithm
    of what they add up to is the free energy at temperature 1: the higher, the less like a class (W. Liu,
    X. Wang, J. Owens, Y. Li, "Energy-based Out-of-distribution Detection", NeurIPS 2020).
    """
    # The methods max and sum go through Python, and take half as long again.
    largest = np.maximum.reduce(logits, axis=1, keepdims=True)
    exponentials = np.exp(logits - largest)
    total = np.add.reduce(exponentials, axis=1, keepdims=True)
    probabilities = exponentials / total
    places: list[int] = probabilities.argmax(axis=1).tolist()
    confidences: list[float] = (1 / total).ravel().tolist()
    energies: Iterable[float | None] = itertools.repeat(None)
    if card.tells_outliers:
        energies = (-largest - np.log(total)).ravel().tolist()
    return list(map(Prediction, places, confidences, probabilities, itertools.repeat(card), energies))
