"""Any picture of one digit to the form of MNIST: 28 x 28, white ink on black, sized and centred as there.

MNIST's digits fill a box of 20 x 20 pixels with their aspect kept, anti-aliased, and lie with their centre of
mass at the centre of 28 x 28 (http://yann.lecun.com/exdb/mnist). A model that learned from those sees best
what is prepared the same way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import BlankPicture
from service.inputs.image import Shape
from service.inputs.paper import Ink, find_ink, grown

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Grey = NDArray[np.float32]  # shape (height, width), 0 no ink .. 1 full

# What a model card of format 1, which says none of this, stands for.
SIDE = 28
SHAPE = Shape(channels=1, height=SIDE, width=SIDE)
CLASSES = tuple(range(10))
TARGET = METHOD = "digit"

EXAMPLE_CLASS, EXAMPLE_NAME = 7, "An image of a seven"

BOX = 20
# MNIST counts the middle of pixel 14 as its centre, so the centre of mass lies there: half a pixel off.
CENTRE = 14.5

# A picture is looked at from afar, as so many cells; its ink then closer, in four pixels for each of MNIST's.
CELLS, DETAIL = 96 * 96, 4 * BOX
# Smaller pictures have more edges than paper: they are enlarged, in squares, to tell one from the other.
TINY, SQUARES = 28, 0  # pixels; Pillow's NEAREST, which is imported late
# A channel of colour is taken for brightness if it differs from place to place so many times as much.
CLEARER = 1.5
# In shares of full ink: fainter pixels than these are paper.
FAINTEST_PIXEL = 0.04
# In shares of full ink: what still counts for the edges of the digit.
EDGE = 0.25
# The outermost share of the ink that may be dust: it does not move the box.
DUST = 0.003


def read(picture: Picture) -> NDArray[np.float32]:
    """Return the digit in a picture, grey or RGB, in the form of MNIST, shape (784,), in 256 levels of 0..1.

    Raises:
        BlankPicture: the picture has no ink.
    """
    sharp, pixel = picture, 1
    if max(picture.size) < TINY:
        pixel = 2 * TINY // max(picture.size)
        picture = _with_margin(picture)
        size = (pixel * picture.width, pixel * picture.height)
        sharp, picture = picture.resize(size, SQUARES), picture.resize(size)
    # A cell is a square of pixels.
    scale = max(1, math.ceil(math.sqrt(picture.width * picture.height / CELLS)))
    cells = sharp.reduce(scale)
    channel = _most_contrast(cells)
    found = find_ink(np.asarray(_grey(cells, channel)))
    ink = None if found is None else _look_closer(picture, scale, channel, found, pixel)
    if ink is None or ink.max() <= EDGE:
        raise BlankPicture("nothing in the picture stands out from its paper; draw one digit")
    return normalise(ink)


def _with_margin(picture: Picture) -> Picture:
    """Return a picture with paper around it: a tiny one is a digit that may be cut out closely."""
    levels = np.asarray(picture.convert("L"), np.int16)
    # Of a digit that reaches all sides, little reaches into the corners.
    light = levels[[0, 0, -1, -1], [0, -1, 0, -1]].mean() > (levels.min() + levels.max()) / 2
    y, x = map(int, np.unravel_index(levels.argmax() if light else levels.argmin(), levels.shape))
    margin = max(picture.size) // 2
    paper = picture.crop((x, y, x + 1, y + 1)).resize(
        (picture.width + 2 * margin, picture.height + 2 * margin), SQUARES
    )
    paper.paste(picture, (margin, margin))
    return paper


def _grey(picture: Picture, channel: int | None) -> Picture:
    return picture.convert("L") if channel is None else picture.getchannel(channel)


def _most_contrast(picture: Picture) -> int | None:
    """Return the channel that shows much more than brightness does, if there is one."""
    if picture.mode == "L":
        return None
    channels = (*picture.split(), picture.convert("L"))
    spread = [float(np.asarray(each, np.float32).std()) for each in channels]
    best = int(np.argmax(spread))
    return best if spread[best] > CLEARER * spread[-1] else None


def _look_closer(picture: Picture, scale: int, channel: int | None, ink: Ink, edge: int) -> Grey:
    """Return how much ink is on each pixel of the part of a picture that has some, 0 none .. 1 full.

    So many cells beside the marks have the rest of their ink.
    """
    height, width = ink.paper.shape
    near = ink.marks
    for _ in range(edge):
        near = grown(near)
    top, bottom = max(0, ink.box[0] - edge - 1), min(height, ink.box[1] + edge + 1)
    left, right = max(0, ink.box[2] - edge - 1), min(width, ink.box[3] + edge + 1)
    part = (left * scale, top * scale, min(right * scale, picture.width), min(bottom * scale, picture.height))
    finer = max(1, min(scale, max(part[2] - part[0], part[3] - part[1]) // DETAIL))
    levels = np.asarray(_grey(picture.reduce(finer, part), channel), np.float32)
    cells = ((part[2] - part[0]) / scale, (part[3] - part[1]) / scale)
    paper, marks = (
        _resized(whole[top:bottom, left:right], levels.shape, cells)
        for whole in (ink.paper, np.uint8(255) * near.view(np.uint8))
    )
    level = levels if ink.sign > 0 else 255 - levels
    depth = (paper - np.float32(ink.bias) - level) * (marks / np.float32(255))
    # Full ink is the mean of all, weighted with itself: noise moves that less than it does the maximum.
    full = float((depth * depth).sum() / max(depth.sum(), 1e-9))
    return np.maximum(depth / np.float32(full) - np.float32(FAINTEST_PIXEL), 0)


def _resized(cells: NDArray[np.uint8], shape: tuple[int, ...], size: tuple[float, float]) -> Grey:
    """Return cells, of which the first ``size`` are meant, as an array of this shape."""
    if cells.shape == shape and size == (shape[1], shape[0]):
        return cells.astype(np.float32)
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(cells))
    return np.asarray(
        picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, (0, 0, *size)), np.float32
    )


def normalise(ink: Grey) -> NDArray[np.float32]:
    """Return a digit's ink in the form of MNIST, shape (784,), in 256 levels of 0..1."""
    (top, bottom), (left, right) = find_box(ink)
    scale = BOX / max(right - left, bottom - top)
    ink[:top], ink[bottom:], ink[:, :left], ink[:, right:] = 0, 0, 0, 0
    mass = ink.sum()
    y = float(ink.sum(axis=1) @ (np.arange(ink.shape[0], dtype=np.float32) + np.float32(0.5)) / mass)
    x = float(ink.sum(axis=0) @ (np.arange(ink.shape[1], dtype=np.float32) + np.float32(0.5)) / mass)
    # One resampling does it all: cut out, shrink and centre, to a fraction of a pixel.
    rows = averages(ink.shape[0], y - CENTRE / scale, 1 / scale)
    columns = averages(ink.shape[1], x - CENTRE / scale, 1 / scale)
    image = rows @ ink @ columns.T
    levels: NDArray[np.float32] = np.rint(image * (255 / image.max())).reshape(-1)
    return levels / np.float32(255)


def find_box(ink: Grey) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first row and column of the ink and those past its end, specks of dust apart."""
    clear = np.where(ink > EDGE, ink, 0)
    return _extent(clear.sum(axis=1)), _extent(clear.sum(axis=0))


def averages(length: int, start: float, step: float) -> NDArray[np.float32]:
    """Return the matrix, shape (28, length), that averages a row of pixels over 28 neighbouring intervals.

    Interval i covers ``start + i * step`` to ``start + (i + 1) * step``; beyond the picture there is no ink.
    Where intervals are narrower than a pixel, they are widened to one: enlarged ink stays smooth.
    """
    width = max(step, 1.0)
    middle = start + (np.arange(SIDE, dtype=np.float64)[:, None] + 0.5) * step
    low, high = middle - width / 2, middle + width / 2
    pixel = np.arange(length, dtype=np.float64)
    overlap = np.minimum(high, pixel + 1) - np.maximum(low, pixel)
    weights: NDArray[np.float32] = (np.maximum(overlap, 0) / width).astype(np.float32)
    return weights


def _extent(profile: NDArray[np.float32]) -> tuple[int, int]:
    reached = profile.astype(np.float64).cumsum()
    total = reached[-1]
    first = int(reached.searchsorted(DUST * total, side="right"))
    last = int(reached.searchsorted((1 - DUST) * total, side="left"))
    return first, last + 1


def example() -> list[float]:
    """Draw a seven, as simply as it can be done: a bar and a slanting stem."""
    image = [0.0] * SHAPE.size
    for y in range(5, 24):
        middle = 18 - (y - 5) * 8 // 18
        for x in range(9, 20) if y < 8 else range(middle - 1, middle + 2):
            image[y * SIDE + x] = 1.0
    return image
