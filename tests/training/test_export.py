"""The exported module, and the weights that come with the service."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.training_sample import SAMPLE
from tests.support.weights_file import read_weights_file
from training.data import Digits
from training.export import check_agreement, frozen
from training.model import DigitNet
from training.negatives import Kind, blank, dots, hearts, letters, side_by_side, written_letters
from training.outliers import energy

BUNDLED = Path(__file__).parents[2] / "service" / "weights" / "mnist_cnn.pt"


def test_exported_module_agrees_with_the_trained_one(images: Tensor) -> None:
    model = DigitNet()
    for _ in range(3):
        model(images)

    assert check_agreement(model, frozen(model), images) < 1e-5


def test_bundled_weights_read_the_ready_made_digits() -> None:
    module, card, golden = read_weights_file(BUNDLED)

    for digit in range(10):
        pixels = json.loads((SAMPLE / f"digit-{digit}.json").read_text())["image"]
        assert int(module(torch.tensor(pixels).view(1, 1, 28, 28)).argmax()) == digit
    assert card["metrics"]["test_accuracy"] >= 0.995
    assert card["dataset"]["train_images"] == 55_000
    assert card["metrics"]["test_outlier_rate"] <= 0.005
    assert card["metrics"]["outlier_auroc"] >= 0.99
    limit = card["outlier"]["threshold"]
    assert (energy(golden["logits"]) <= limit).all()
    assert sorted(set(golden["labels"].tolist())) == list(range(10))


@pytest.mark.parametrize("kind", [letters, written_letters, hearts, dots, side_by_side, blank])
def test_bundled_weights_tell_what_is_no_digit(kind: Kind, digits: Digits) -> None:
    module, card, _ = read_weights_file(BUNDLED)
    images = kind(digits, 200, np.random.default_rng(0))

    flagged = energy(module(images.float() / 255).numpy()) > card["outlier"]["threshold"]

    assert flagged.mean() >= (0.8 if kind is side_by_side else 0.95)
