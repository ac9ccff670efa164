"""How weights read digits of other writers: scikit-learn's copy of UCI's optdigits, posted as pictures.

Its 1,797 digits have 8 x 8 pixels, by 13 writers that MNIST does not have. Training never sees them, and no
choice is made by them. Needs scikit-learn:

    python -m tools.other_writers [FILE]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from service.errors import BlankPicture
from service.inference.model import load_model
from service.inference.prediction import predictions
from service.inference.torchscript import configure_torch
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from service.settings import BUNDLED_MODEL

# The side of a digit and that of its picture in pixels; in the last it lies anywhere.
SIZES = {"8 x 8": (8, 8), "16 x 16 in 24 x 24": (16, 24), "16 x 16 somewhere in 64 x 64": (16, 64)}
COLOURS = ("white on black", "black on white")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, nargs="?", default=BUNDLED_MODEL, metavar="FILE")
    options = parser.parse_args()
    configure_torch(1)
    model = load_model(options.weights, batch_sizes=[1])
    found = load_digits()

    print(f"{'digit':30} {'colours':16} {'right':>8} {'flagged':>8} {'refused':>8}")
    for size, (side, page) in SIZES.items():
        for colours in COLOURS:
            random = np.random.default_rng(0)
            right = flagged = refused = 0
            for digit, label in zip(found.images, found.target, strict=True):
                grey = picture(digit, side, page, random)
                try:
                    image = read(grey if colours == COLOURS[0] else 255 - grey)
                except BlankPicture:
                    refused += 1
                    continue
                answer = predictions(model.logits(image[None]), model.card)[0]
                right += answer.place == label
                flagged += bool(answer.outlier)
            shares = f"{right / len(found.target):8.2%} {flagged / len(found.target):8.2%}"
            print(f"{size:30} {colours:16} {shares} {refused:8}", flush=True)


def picture(
    digit: NDArray[np.float64], side: int, page: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """A digit (8, 8) of 0..16 as grey levels of a page, white on black."""
    grey = np.rint(digit * (255 / 16)).astype(np.uint8)
    large = np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC))
    drawn = np.zeros((page, page), np.uint8)
    room = page - side
    top, left = (room // 2, room // 2) if room < side else random.integers(2, room - 1, size=2)
    drawn[top : top + side, left : left + side] = large
    return drawn


def read(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Post the picture as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return read_picture(buffer.getvalue(), 1 << 22, SHAPE, Preprocessing())


if __name__ == "__main__":
    main()
