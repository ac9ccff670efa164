"""Logits to predictions: the class, its confidence, and the probability of every class."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.inference.card import Card


class Prediction(NamedTuple):
    """One image's answer: the likeliest class, its probability, and all of them, shape (10,)."""

    digit: int
    confidence: float
    probabilities: NDArray[np.float32]
    model: Card


def predictions(logits: NDArray[np.float32], card: Card) -> list[Prediction]:
    """Return a prediction for each row of logits, shape (N, 10)."""
    probabilities = softmax(logits)
    digits: list[int] = probabilities.argmax(axis=1).tolist()
    confidences: list[float] = np.maximum.reduce(probabilities, axis=1).tolist()
    return list(map(Prediction, digits, confidences, probabilities, itertools.repeat(card)))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits, shape (N, 10): exponentials that add up to 1 in each row."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
