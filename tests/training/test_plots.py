"""The pictures of a run, looked at."""

from __future__ import annotations

import io

import numpy as np
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from training.data import Digits
from training.plots import ACCENT, INK, learning_curves, worst_mistakes
from training.train import Epoch


def pixels_of(png: bytes, colour: str) -> tuple[np.ndarray, int]:
    """Which pixels (height, width) have this colour, and the width."""
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float64) / 255
    return np.abs(pixels - to_rgb(colour)).max(axis=2) < 0.02, pixels.shape[1]


def test_the_curves_of_one_epoch_are_points() -> None:
    """In the middle, where no legend is."""
    png = learning_curves([Epoch(1, 0.5, 0.8, 0.01, validation_loss=0.4, validation_accuracy=0.9)])

    for colour in (INK, ACCENT):
        found, width = pixels_of(png, colour)
        assert found[:, int(width * 0.45) : int(width * 0.65)].sum() > 10


def test_the_mistakes_are_shown_as_they_were_drawn(digits: Digits) -> None:
    logits = torch.nn.functional.one_hot(digits.labels, 10) * 9.0
    right = worst_mistakes(logits, digits)
    logits[:12] = logits[:12].roll(1, dims=1)

    wrong = worst_mistakes(logits, digits)

    background = {
        name: pixels_of(png, "#000000")[0].mean() for name, png in (("right", right), ("wrong", wrong))
    }
    assert background["right"] < 0.02
    assert background["wrong"] > 0.1
