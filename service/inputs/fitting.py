"""Any picture to a model's input: resized and cropped as torchvision does it, or fitted into a frame.

What ``resize`` does is ``torchvision.transforms._presets.ImageClassification``, which Pillow computes there,
too; normalisation is the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.inputs.image import Shape
from service.inputs.preprocessing import RESIZE, Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def fit(picture: Picture, size: tuple[int, int], shape: Shape, how: Preprocessing) -> NDArray[np.float32]:
    """Return a picture as a flat image of this shape.

    ``size`` is its width and height; it may have been decoded to a half, a quarter or an eighth of that,
    rounded up.
    """
    from PIL import Image

    picture = _opaque(picture).convert("L" if shape.channels == 1 else "RGB")
    resampling = Image.Resampling[how.interpolation.upper()]
    if how.method == RESIZE:
        target = _shorter_side(size, how.resize_size)
    else:
        scale = min(shape.width / size[0], shape.height / size[1])
        target = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    left, right = _middle(target[0], shape.width)
    top, bottom = _middle(target[1], shape.height)
    # No more than what is seen is computed: the rest of a picture that is a line may have gigabytes.
    reduced = round(size[0] / picture.width)
    width, height = size[0] / reduced, size[1] / reduced
    across = [at * width / target[0] for at in (left, right)]
    down = [at * height / target[1] for at in (top, bottom)]
    box = (across[0], down[0], across[1], down[1])
    seen = picture.resize((right - left, bottom - top), resampling, box)
    frame = Image.new(picture.mode, (shape.width, shape.height))
    frame.paste(seen, ((shape.width - seen.width) // 2, (shape.height - seen.height) // 2))
    return np.asarray(frame, np.float32).reshape(-1) / np.float32(255)


def _opaque(picture: Picture) -> Picture:
    """Return a picture as it is seen on white paper."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    ink = picture.convert("RGBA")
    # Other threads run meanwhile; while Pillow's alpha_composite works, they do not.
    paper = Image.new("RGB", ink.size, "white")
    paper.paste(ink, mask=ink)
    return paper


def _shorter_side(size: tuple[int, int], length: int) -> tuple[int, int]:
    """Return a size with the same aspect whose shorter side is so long, rounded as torchvision does."""
    width, height = size
    if width <= height:
        return length, int(length * height / width)
    return int(length * width / height), length


def _middle(length: int, side: int) -> tuple[int, int]:
    """Return where the middle of so many pixels begins and ends, as torchvision cuts it out."""
    start = max(0, round((length - side) / 2.0))
    return start, min(length, start + side)
