"""How a picture becomes an input, in the words of ``torchvision.transforms._presets.ImageClassification``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.inputs import digits as mnist

__all__ = ["LETTERBOX", "MNIST", "RESIZE", "Preprocessing", "mnist", "read_preprocessing"]

MNIST, RESIZE, LETTERBOX = METHODS = (mnist.METHOD, "resize", "letterbox")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done with a picture.

    ``digit``: the digit in it is found and brought into the form of MNIST. ``resize``: its shorter side
    becomes ``resize_size`` long, and ``crop_size`` by ``crop_size`` pixels are cut from its middle.
    ``letterbox``: it is shrunk to fit into the input with its aspect kept, and the rest is black.
    """

    method: str = MNIST
    resize_size: int = 0
    crop_size: int = 0
    interpolation: str = "bilinear"


def read_preprocessing(value: Any, height: int, width: int) -> Preprocessing:
    """Read the ``pictures`` of a model card, for an input of this height and width.

    Raises:
        ValueError: it is not what this service can do; the message says what.
    """
    if not isinstance(value, dict):
        raise ValueError('pictures is no object such as {"method": "resize", "resize_size": 256}')
    method, interpolation = value.get("method"), value.get("interpolation", "bilinear")
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(f"pictures has the method {str(method)[:20]!r}; expected {known}")
    if interpolation not in INTERPOLATIONS:
        known = ", ".join(INTERPOLATIONS)
        raise ValueError(f"pictures has the interpolation {str(interpolation)[:20]!r}; expected {known}")
    if method != RESIZE:
        return Preprocessing(method, interpolation=interpolation)
    crop = value.get("crop_size", min(height, width))
    resize = value.get("resize_size", crop)
    if not (type(crop) is type(resize) is int and 0 < crop <= resize <= 10_000):
        raise ValueError("pictures needs whole numbers with 0 < crop_size <= resize_size")
    if (crop, crop) != (height, width):
        raise ValueError(f"pictures has crop_size {crop}, but the input is {height} x {width}")
    return Preprocessing(RESIZE, resize, crop, interpolation)
