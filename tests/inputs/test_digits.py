"""A picture of a digit becomes an image like those of MNIST, whatever made it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from service.errors import BlankPicture
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from tests.support.pictures import SIDE, drawn, enlarged, photographed, save

MAX_PIXELS = 1 << 22


def read(picture: Image.Image, format_: str = "PNG", **options: object) -> NDArray[np.float32]:
    return read_picture(save(picture, format_, **options), MAX_PIXELS, SHAPE, Preprocessing())


def accuracy(model, images, labels) -> float:
    predictions = [model.logits(np.stack([image])).argmax() for image in images]
    return float(np.mean(np.array(predictions) == labels))


def test_enlarged_digits_are_recognised(model, digits, labels):
    images = [read(enlarged(digit, seed)) for seed, digit in enumerate(digits)]

    assert accuracy(model, images, labels) >= 0.98


@pytest.mark.parametrize("width", [5, 20, 35])
def test_digits_are_recognised_whatever_the_pen(model, digits, labels, width):
    images = [read(drawn(digit, width)) for digit in digits[:100]]

    assert accuracy(model, images, labels[:100]) >= 0.95


@pytest.mark.parametrize("paper", [255, 0])
@pytest.mark.parametrize("side", [8, 12, 24])
def test_tiny_pictures_cut_out_closely_are_recognised(model, digits, labels, side, paper):
    """Such as scikit-learn's digits of 8 x 8: their ink reaches the sides, and may fill half of the area."""
    images = []
    for digit in digits:
        ink = Image.fromarray(digit).point(lambda level: 255 * (level > 100))
        box = ink.getbbox()
        longer = max(box[2] - box[0], box[3] - box[1])
        small = ImageOps.pad(ink.crop(box), (longer, longer)).resize((side, side), Image.Resampling.BOX)
        images.append(read(small.point(lambda level: abs(paper - level))))

    assert accuracy(model, images, labels) >= 0.97


def test_small_digits_of_a_wide_pen_are_recognised(model, digits, labels):
    """They fill much of their box, and what a ring encloses fills less of its own, but is no ink."""
    images = []
    for digit in digits:
        wide = Image.fromarray(digit).filter(ImageFilter.MaxFilter(3)).resize((12, 12))
        paper = Image.new("L", (64, 64), 255)
        paper.paste(ImageOps.invert(wide), (30, 20))
        images.append(read(paper))

    assert accuracy(model, images, labels) >= 0.975


def test_photographs_are_recognised(model, digits, labels):
    images = [read(photographed(digit, seed), "JPEG", quality=60) for seed, digit in enumerate(digits[:100])]

    assert accuracy(model, images, labels[:100]) >= 0.95


def test_an_image_of_mnist_stays_almost_what_it_was(digits):
    for digit in digits:
        image = read(Image.fromarray(digit))

        assert np.abs(image.reshape(28, 28) - digit / 255).mean() < 0.06


def test_the_digit_fills_twenty_pixels_with_its_centre_of_mass_at_mnists(digits):
    for seed, digit in enumerate(digits[:50]):
        image = read(enlarged(digit, seed)).reshape(28, 28)

        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
        assert image.max() == 1
        pixels = np.arange(28)
        assert image.sum(1) @ pixels / image.sum() == pytest.approx(14, abs=0.1)
        assert image.sum(0) @ pixels / image.sum() == pytest.approx(14, abs=0.1)


def test_specks_of_dust_do_not_move_the_digit(model, digits, labels):
    images = []
    for seed, digit in enumerate(digits):
        levels = np.array(enlarged(digit, seed))
        for y, x in np.random.default_rng(seed).integers(1, SIDE - 2, (3, 2)):
            levels[y, x : x + 2] = 0
        images.append(read(Image.fromarray(levels)))

    assert accuracy(model, images, labels) >= 0.98


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (280, 280)])
def test_a_blank_picture_is_refused(level, size):
    with pytest.raises(BlankPicture, match="draw one digit"):
        read(Image.new("L", size, level))


def test_a_picture_of_nothing_but_noise_is_refused():
    noise = np.random.default_rng(0).normal(128, 4, (SIDE, SIDE)).astype(np.uint8)

    with pytest.raises(BlankPicture):
        read(Image.fromarray(noise))


def test_a_transparent_picture_is_refused():
    with pytest.raises(BlankPicture):
        read(Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0)))
