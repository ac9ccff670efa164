"""A digit is read whatever lies on or beside the paper, and however the light falls on it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import BlankPicture
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from tests.support.pictures import save
from tests.support.scenes import SCENES, picture

COUNT = 50
MAX_PIXELS = 1 << 22


def read(seen: Image.Image, format_: str = "PNG", **options: object) -> NDArray[np.float32]:
    return read_picture(save(seen, format_, **options), MAX_PIXELS, SHAPE, Preprocessing())


@pytest.mark.parametrize("scene", SCENES)
def test_digits_are_recognised_in_every_scene(model, digits, labels, scene):
    images = [read(picture(scene, digit, seed)) for seed, digit in enumerate(digits[:COUNT])]

    logits = np.concatenate([model.logits(np.stack([image])) for image in images]).astype(float)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    wrong = shares.argmax(axis=1) != labels[:COUNT]
    assert wrong.mean() <= (0.01 if scene == "plain" else 0.04)
    assert (wrong & (shares.max(axis=1) > 0.9)).mean() <= 0.01


WITHOUT_DIGIT = ("plain", "frame", "lamp", "vignette", "dark corner", "strip", "thumb", "faint", "colour")


@pytest.mark.parametrize("scene", WITHOUT_DIGIT)
def test_surroundings_and_light_alone_are_no_digit(scene):
    for seed in range(10):
        with pytest.raises(BlankPicture, match="draw one digit"):
            read(picture(scene, np.zeros((28, 28), np.uint8), seed))


@pytest.mark.parametrize("ink", [0, 100, 200, 255])
def test_ink_on_nothing_is_seen_whatever_its_brightness(digits, ink):
    levels = Image.fromarray(digits[0]).resize((280, 280), Image.Resampling.BICUBIC)
    drawn = Image.merge("LA", (Image.new("L", (280, 280), ink), levels))
    on_paper = Image.fromarray(255 - np.asarray(levels))

    np.testing.assert_allclose(read(drawn), read(on_paper), atol=0.1)


def test_two_digits_side_by_side_are_both_seen(digits):
    """It is for the model to say that this is no digit."""
    for one, other in zip(digits[:40:2], digits[1:40:2], strict=True):
        image = read(Image.fromarray(np.hstack([one, other]))).reshape(28, 28)

        halves = image[:, :14].sum(), image[:, 14:].sum()
        assert min(halves) > 0.25 * max(halves)


def test_digits_of_eight_pixels_are_recognised(model, digits, labels):
    """They reach the border, and have more edges than paper."""
    right = 0
    for digit, label in zip(digits, labels, strict=True):
        with contextlib.suppress(BlankPicture):
            image = read(Image.fromarray(digit).resize((8, 8), Image.Resampling.BOX, _box(digit)))
            right += model.logits(np.stack([image])).argmax() == label

    assert right >= 0.93 * len(digits)


def _box(digit):
    """The square around a digit's ink."""
    rows, columns = np.flatnonzero(digit.max(1) > 30), np.flatnonzero(digit.max(0) > 30)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    top, left = (min(28 - side, int(lines.min() + lines.max() + 1 - side) // 2) for lines in (rows, columns))
    return left, top, left + side, top + side
