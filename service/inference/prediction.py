"""Logits to predictions: the class, its confidence, and the probability of every class."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.inference.card import Card


class Prediction(NamedTuple):
    """One image's answer: the place of the likeliest class, its probability, and all of them, shape (C,)."""

    place: int
    confidence: float
    probabilities: NDArray[np.float32]
    model: Card

    @property
    def label(self) -> str | int:
        """The name or number of the class."""
        return self.model.classes[self.place]

    def likeliest(self, count: int) -> list[tuple[str | int, float]]:
        """Return the likeliest classes and their probabilities, the likeliest first."""
        places = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.model.classes[place], float(self.probabilities[place])) for place in places]


def predictions(logits: NDArray[np.float32], card: Card) -> list[Prediction]:
    """Return a prediction for each row of logits, shape (N, C)."""
    probabilities = softmax(logits)
    places: list[int] = probabilities.argmax(axis=1).tolist()
    confidences: list[float] = np.maximum.reduce(probabilities, axis=1).tolist()
    return list(map(Prediction, places, confidences, probabilities, itertools.repeat(card)))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits, shape (N, C): exponentials that add up to 1 in each row."""
    # The methods max and sum go through Python, and take half as long again.
    exponentials: NDArray[np.float32] = np.exp(logits - np.maximum.reduce(logits, axis=1, keepdims=True))
    exponentials /= np.add.reduce(exponentials, axis=1, keepdims=True)
    return exponentials
