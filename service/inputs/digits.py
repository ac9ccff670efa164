"""Any picture of one digit to the form of MNIST: 28 x 28, white ink on black, sized and centred as there.

MNIST's digits fill a box of 20 x 20 pixels with their aspect kept, anti-aliased, and lie with their centre of
mass at the centre of 28 x 28 (http://yann.lecun.com/exdb/mnist). A model that learned from those sees best
what is prepared the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.errors import BlankPicture
from service.inputs.image import Shape

Grey = NDArray[np.float32]  # shape (height, width), 0 black .. 1 white

# What a model card of format 1, which says none of this, stands for.
SIDE = 28
SHAPE = Shape(channels=1, height=SIDE, width=SIDE)
CLASSES = tuple(range(10))
TARGET = METHOD = "digit"

EXAMPLE_CLASS, EXAMPLE_NAME = 7, "An image of a seven"

BOX = 20
# MNIST counts the middle of pixel 14 as its centre, so the centre of mass lies there: half a pixel off.
CENTRE = 14.5

# In shares of black-to-white: fainter marks than these are paper.
FAINTEST_INK = 0.1
FAINTEST_PIXEL = 0.04
# In shares of the darkest ink: what still counts for the edges of the digit.
EDGE = 0.25
# The outermost share of the ink that may be dust: it does not move the box.
DUST = 0.003


def read_digit(grey: Grey, alpha: Grey | None) -> NDArray[np.float32]:
    """Return the digit in a grey picture, which may be transparent, in the form of MNIST, shape (784,).

    Raises:
        BlankPicture: the picture has no ink.
    """
    if alpha is None:
        return normalise(grey)
    try:
        return normalise(grey * alpha + (1 - alpha))
    except BlankPicture:
        # White ink on nothing: on black paper it shows.
        return normalise(grey * alpha)


def normalise(grey: Grey) -> NDArray[np.float32]:
    """Return the digit in a grey picture in the form of MNIST, shape (784,), in 256 levels of 0..1.

    Raises:
        BlankPicture: the picture has no ink.
    """
    ink = find_ink(grey)
    (top, bottom), (left, right) = find_box(ink)
    scale = BOX / max(right - left, bottom - top)
    ink[:top], ink[bottom:], ink[:, :left], ink[:, right:] = 0, 0, 0, 0
    mass = ink.sum()
    y = float(ink.sum(axis=1) @ (np.arange(ink.shape[0]) + 0.5) / mass)
    x = float(ink.sum(axis=0) @ (np.arange(ink.shape[1]) + 0.5) / mass)
    # One resampling does it all: cut out, shrink and centre, to a fraction of a pixel.
    rows = averages(ink.shape[0], y - CENTRE / scale, 1 / scale)
    columns = averages(ink.shape[1], x - CENTRE / scale, 1 / scale)
    image = rows @ ink @ columns.T
    levels: NDArray[np.float32] = np.rint(image * (255 / image.max())).reshape(-1)
    return levels / np.float32(255)


def find_ink(grey: Grey) -> Grey:
    """Return how much ink is on each pixel, 0 none .. 1 the most, whichever of paper and ink is the darker.

    Raises:
        BlankPicture: the picture is blank.
    """
    deviation = grey - _paper(grey)
    noise = 1.5 * float(np.median(np.abs(_frame(deviation))))  # a standard deviation, by way of the median
    floor = max(FAINTEST_PIXEL, 3 * noise)
    dark, light = np.maximum(-deviation - floor, 0), np.maximum(deviation - floor, 0)
    ink: Grey = dark if dark.sum() >= light.sum() else light
    darkest = float(ink.max())
    if darkest + floor < max(FAINTEST_INK, 6 * noise):
        raise BlankPicture("nothing in the picture stands out from its border; draw one digit")
    ink /= darkest
    return ink


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
    middle = start + (np.arange(SIDE)[:, None] + 0.5) * step
    low, high = middle - width / 2, middle + width / 2
    pixel = np.arange(length)
    overlap = np.minimum(high, pixel + 1) - np.maximum(low, pixel)
    weights: NDArray[np.float32] = (np.maximum(overlap, 0) / width).astype(np.float32)
    return weights


def _extent(profile: NDArray[np.float32]) -> tuple[int, int]:
    reached = np.cumsum(profile, dtype=np.float64)
    total = reached[-1]
    first = int(np.searchsorted(reached, DUST * total, side="right"))
    last = int(np.searchsorted(reached, (1 - DUST) * total, side="left"))
    return first, last + 1


def _paper(grey: Grey) -> Grey:
    """Return the brightness that each pixel would have without ink: a plane through the picture's border.

    A photograph's light falls off to one side; a plane follows that, where one level would call it ink.
    """
    height, width = grey.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    plane = np.stack(np.broadcast_arrays(np.float32(1), x, y[:, None]), axis=-1)
    points, levels = _frame(plane), _frame(grey)
    # The second fit leaves out what the first says is ink that touches the border.
    off = np.abs(levels - np.median(levels))
    for _ in range(2):
        near = off <= 3 * np.median(off) + 0.02
        coefficients = np.linalg.lstsq(points[near], levels[near], rcond=None)[0]
        off = np.abs(levels - points @ coefficients)
    paper: Grey = (plane @ coefficients).astype(np.float32)
    return paper


def _frame(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the pixels along the border, shape (n,) or (n, channels)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def example() -> list[float]:
    """Draw a seven, as simply as it can be done: a bar and a slanting stem."""
    image = [0.0] * SHAPE.size
    for y in range(5, 24):
        middle = 18 - (y - 5) * 8 // 18
        for x in range(9, 20) if y < 8 else range(middle - 1, middle + 2):
            image[y * SIDE + x] = 1.0
    return image
