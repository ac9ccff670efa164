"""Logits to answers: probabilities, the likeliest class, and the energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.inference.prediction import predictions


def test_they_are_those_of_pytorch(model):
    logits = 5 * np.random.default_rng(0).standard_normal((64, 10), np.float32)
    tensor = torch.from_numpy(logits).double()

    answers = predictions(logits, model.card)

    probabilities = np.stack([answer.probabilities for answer in answers])
    np.testing.assert_allclose(probabilities, tensor.softmax(dim=1), rtol=1e-5)
    np.testing.assert_allclose([a.energy for a in answers], -tensor.logsumexp(dim=1), rtol=1e-5)
    assert [answer.place for answer in answers] == tensor.argmax(dim=1).tolist()
    assert [answer.confidence for answer in answers] == probabilities.max(axis=1).tolist()


def test_large_logits_overflow_nothing(model):
    largest = np.finfo(np.float32).max / 4
    logits = np.zeros((2, 10), np.float32)
    logits[0, :2] = largest
    logits[1] = -largest

    first, second = predictions(logits, model.card)

    assert first.probabilities.tolist() == [0.5, 0.5, *[0.0] * 8]
    assert (first.place, first.confidence, first.energy) == (0, 0.5, -largest)
    assert second.probabilities.tolist() == pytest.approx([0.1] * 10)
    assert second.energy == largest
