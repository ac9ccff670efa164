"""What an image is: pixels by row, column and channel, each a number in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidImage

# Decoders return what they find at no cost (a JSON parser has doubles, a binary body float32); the batch
# buffer is where everything becomes float32.
Image = NDArray[np.float64] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a model's images are."""

    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """How many numbers an image has."""
        return self.channels * self.height * self.width

    @property
    def sides(self) -> tuple[int, ...]:
        """The lengths of an image's lists, from the outermost in; one channel has no list of its own."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    @property
    def planes(self) -> tuple[int, int, int]:
        """The lengths of an image's tensor, as PyTorch orders them."""
        return self.channels, self.height, self.width

    def __str__(self) -> str:
        """Return it as people write it: ``28 x 28``, ``224 x 224 x 3``."""
        return " x ".join(map(str, self.sides))


def in_range(images: Image) -> bool:
    """Return whether every pixel of an image or a batch is a number in 0..1; NaN is none."""
    return bool(images.min() >= 0.0 and images.max() <= 1.0)


def as_float32(image: Image) -> NDArray[np.float32]:
    """Round pixels to what the model computes with; a number beyond float32 becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN is one, too
        return image.astype(np.float32, copy=False)


def check_pixels(image: Image, *, where: str = "image", pointer: str = "/image") -> None:
    """Refuse a flat image with a pixel that is not a number in 0..1 once it is a float32.

    Raises:
        InvalidImage: names the first offending pixel and its value; ``where`` and ``pointer`` are what the
            client calls the image.
    """
    rounded = as_float32(image)
    with np.errstate(invalid="ignore"):
        bad = ~((rounded >= 0.0) & (rounded <= 1.0))
    if not bad.any():
        return
    index = int(bad.argmax())
    value = float(image[index])
    if not np.isfinite(value):
        advice = "pixels are finite numbers in 0..1"
    elif value > 1.0:
        advice = "pixels are 0..1, so divide by 255"
    else:
        advice = "pixels are 0..1"
    raise InvalidImage(f"{where}[{index}] is {value}; {advice}", pointer=f"{pointer}/{index}")
