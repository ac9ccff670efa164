"""Any picture to a model's input: resized and cropped as torchvision does it, or fitted into a frame.

What ``resize`` does is ``torchvision.transforms._presets.ImageClassification``, which Pillow computes there,
too; normalisation is the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidImage
from service.inputs.image import Shape
from service.inputs.preprocessing import RESIZE, Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# With its shorter side enlarged to 256, a picture of 100,000 x 40 pixels takes 750 MB.
MAX_ASPECT = 16


def fit(picture: Picture, size: tuple[int, int], shape: Shape, how: Preprocessing) -> NDArray[np.float32]:
    """Return a picture as a flat image of this shape.

    ``size`` is its width and height; it may have been decoded to a half, a quarter or an eighth of that,
    rounded up.

    Raises:
        InvalidImage: it is too narrow to have its shorter side enlarged.
    """
    from PIL import Image

    picture = _opaque(picture).convert("L" if shape.channels == 1 else "RGB")
    resampling = Image.Resampling[how.interpolation.upper()]
    if how.method == RESIZE:
        target = _shorter_side(size, how.resize_size)
    else:
        scale = min(shape.width / size[0], shape.height / size[1])
        target = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    reduced = round(size[0] / picture.width)
    whole = (0, 0, size[0] / reduced, size[1] / reduced)
    fitted = _centre(picture.resize(target, resampling, box=whole), shape)
    return np.asarray(fitted, np.float32).reshape(-1) / np.float32(255)


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
    if max(size) > MAX_ASPECT * min(size):
        raise InvalidImage(
            f"the picture is {width} x {height}; crop it: no side may be over {MAX_ASPECT} times the other"
        )
    if width <= height:
        return length, int(length * height / width)
    return int(length * width / height), length


def _centre(picture: Picture, shape: Shape) -> Picture:
    """Cut the middle out, or put the picture into the middle of black."""
    left = round((picture.width - shape.width) / 2.0)
    top = round((picture.height - shape.height) / 2.0)
    return picture.crop((left, top, left + shape.width, top + shape.height))
