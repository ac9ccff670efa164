"""Where in a picture the ink is, and how bright the paper below it.

The picture is looked at from afar, as some ten thousand cells:

1. The paper is a morphological closing of the picture, which fills what is darker than its surroundings and
   narrower than a window (P. Soille, Morphological Image Analysis, 2003). Beyond the border, all is dark.
   So light may fall off towards the border in any way, and what the sheet lies on, or a frame around it, is
   part of the paper and no ink.
2. Marks are the connected parts of what is darker than the paper; ``marks.py`` says which of them are ink.
3. Light ink on dark paper is the same upside down. Of dark marks and light ones those are ink that are
   strokes and like nothing around them: a counter is as bright as the paper outside, a sheet is no stroke.
4. Only if this leaves no digit, all counts as paper beyond the border: the digit may reach it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inputs.components import Mask, find_components
from service.inputs.marks import choose_ink

Cells = NDArray[np.uint8]

# In shares of the longer side: pens are narrower, in the largest digit that there is room for.
WINDOW = 0.4
DARK, BRIGHT = 0, 255
# In levels: fainter marks are paper. In standard deviations of the paper's noise, the same.
FAINTEST, CLEAR = 6, 6
# In levels: with more noise than this, each cell becomes the mean of nine.
NOISY = 8
# In shares of the depth of the darkest mark: what is a mark; and what the digit has of that.
MARK, DIGIT = 0.35, 0.7
# In shares of the ink's depth: two cells outside of strokes there is no more, while light has no such edge;
# a step in the paper's brightness that cuts through ink. And the share of the outline that may have one.
SOFT, STEP, SEAM = 0.3, 0.2, 0.02
# In shares of the ink's depth: what is as dark as ink.
LIKE = 0.3
# Marks that fill more of their box are no strokes, unless the box is narrow, as that of a 1. Full ink is a
# quantile of them.
SOLID, NARROW, FULL = 0.65, 0.4, 0.9
# Of what is around ink, shares that are like it: here no other marks need be looked at; here they are tried.
SURE, DOUBTFUL = 0.1, 0.45


@dataclass(frozen=True, slots=True)
class Ink:
    """Marks of ink, and the brightness of the paper for each cell; both upside down if ink is lighter."""

    marks: Mask
    paper: Cells
    sign: int  # 1 if ink is darker than the paper, -1 if it is lighter
    bias: float  # by how much noise makes the paper seem brighter than it is
    box: tuple[int, int, int, int]  # top, bottom, left, right

    @property
    def height(self) -> int:
        return self.box[1] - self.box[0]

    @property
    def width(self) -> int:
        return self.box[3] - self.box[2]


def find_ink(cells: Cells) -> Ink | None:
    """Return where the ink is, or nothing if no mark stands out."""
    from PIL import Image, ImageFilter

    picture = Image.fromarray(cells)
    noise = _noise(cells)
    if noise > NOISY:
        cells, noise = np.asarray(picture.filter(ImageFilter.BoxBlur(1))), noise / 3
    around = np.asarray(picture.filter(ImageFilter.BoxBlur(max(cells.shape) / 5)))
    rest = cells.astype(np.float32) - around.astype(np.float32)
    # There is less ink than paper, so it differs more from the mean of what is around it.
    signs = (1, -1) if float((rest * rest * rest).sum()) < 0 else (-1, 1)
    found: list[tuple[float, Ink]] = []
    for beyond in (DARK, BRIGHT):
        for doubt, ink in _try(cells, signs, beyond, noise):
            found.append((doubt, ink))
            if doubt < SURE:
                return ink
        if any(doubt < DOUBTFUL for doubt, _ in found):
            break
    return min(found, key=lambda each: each[0])[1] if found else None


def _try(cells: Cells, signs: tuple[int, int], beyond: int, noise: float) -> Iterator[tuple[float, Ink]]:
    """Yield dark ink and light ink, in this order of signs, and how much there is to say against each."""
    for sign in signs:
        level = cells if sign > 0 else 255 - cells
        ink = _find_marks(level, _close(level, beyond), sign, noise)
        if ink is not None and _is_whole(ink, level):
            yield _likeness(ink, level) + _solidity(ink, level), ink


def grown(levels: NDArray[Any]) -> NDArray[Any]:
    """Return what each cell or one of its eight neighbours has the most of."""
    for _ in range(2):  # along the columns, then along the rows
        most = levels.copy()
        np.maximum(most[1:], levels[:-1], out=most[1:])
        np.maximum(most[:-1], levels[1:], out=most[:-1])
        levels = most.T
    return levels


def _noise(cells: Cells) -> float:
    """Return the standard deviation of the noise, by the median step from cell to cell: few have an edge."""
    levels = cells.astype(np.int16)
    steps = np.abs(levels[1:] - levels[:-1]).ravel()
    return _quantile(steps, 0.5) / 0.954 if len(steps) else 0.0


def _quantile(levels: NDArray[Any], share: float) -> float:
    return float(np.bincount(levels).cumsum().searchsorted(share * len(levels)))


def _mean(levels: NDArray[Any]) -> float:
    # Left to NumPy, the cast would go piece by piece; where there is no memory for that, NumPy 2.4 crashes.
    return float(np.add.reduce(levels.astype(np.float32)) / levels.size) if levels.size else 0.0


def _close(levels: Cells, beyond: int) -> Cells:
    """Fill what is darker than its surroundings and narrower than a square window."""
    height, width = levels.shape
    window = max(3, round(WINDOW * max(height, width)))
    # One that is longer than the picture is high would do the same there, and take the more memory.
    tall, wide = min(window, height), min(window, width)
    padded = np.full((height + 2 * tall, width + 2 * wide), beyond, np.uint8)
    padded[tall:-tall, wide:-wide] = levels
    for ufunc in (np.maximum, np.minimum):
        padded = _slide(ufunc, padded, tall)
        padded = _slide(ufunc, padded.T, wide).T
    return padded[1:-1, 1:-1]


def _slide(ufunc: np.ufunc, levels: Cells, window: int) -> Cells:
    """Return the most or the least in each window, in as few passes as its length has binary digits."""
    reached = 1
    while reached < window:
        step = min(reached, window - reached)
        levels = ufunc(levels[:-step], levels[step:])
        reached += step
    return levels


def _find_marks(level: Cells, paper: Cells, sign: int, noise: float) -> Ink | None:
    """Return the marks that are ink if this is the paper."""
    depth = paper - level
    # A tenth of the cells is paper for sure. Of normal noise a tenth lies so far below its mean.
    bias = _quantile(depth.ravel(), 0.1) + 1.28 * noise
    least = bias + max(FAINTEST, CLEAR * noise)
    while (darkest := float(depth.max())) >= least:
        marks = find_components(depth > int(bias + MARK * (darkest - bias)))
        ink = choose_ink(marks)
        if not ink.any():
            return None
        mask = marks.mask(ink)
        if float(depth[mask].max()) >= DIGIT * darkest:
            top, bottom = int(marks.top[ink].min()), int(marks.bottom[ink].max())
            left, right = int(marks.left[ink].min()), int(marks.right[ink].max())
            return Ink(mask, paper, sign, bias, (top, bottom, left, right))
        # Something darker than the ink is no ink. Without it fainter marks count.
        depth = np.where(marks.mask(~ink), np.uint8(0), depth)
    return None


def _is_whole(ink: Ink, level: Cells) -> bool:
    """Return whether marks have an edge, and do not go on where the paper seems to be as dark as they are."""
    depth = ink.paper - level
    full = _mean(depth[ink.marks]) - ink.bias
    beside = grown(ink.marks)
    further = grown(beside) & ~beside
    if _mean(depth[further]) - ink.bias > SOFT * full:
        return False
    beside &= ~ink.marks
    paper = np.where(ink.marks, ink.paper, np.uint8(0))
    step = grown(paper)[beside].astype(np.int16) - ink.paper[beside].astype(np.int16)
    return bool(np.count_nonzero(step > int(STEP * full)) <= SEAM * len(step))


def _likeness(ink: Ink, level: Cells) -> float:
    """Return the share of what is around the marks that is as dark as they are."""
    top, bottom, left, right = ink.box
    margin = max(ink.height, ink.width) // 5
    near = np.s_[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    full = _mean(level[ink.marks])
    like = full + LIKE * (_mean(ink.paper[ink.marks]) - full)
    around = level[near][~ink.marks[near]]
    return np.count_nonzero(around < math.ceil(like)) / max(1, len(around))


def _solidity(ink: Ink, level: Cells) -> float:
    """Return half the share of their box that marks fill, if that is too much for strokes."""
    longer, shorter = max(ink.height, ink.width), min(ink.height, ink.width)
    # A cell at the edge counts as much as it is dark: of a small digit most cells are.
    depth = (ink.paper - level)[ink.marks]
    filled = float(depth.sum()) / (_quantile(depth, FULL) * shorter * longer)
    return filled / 2 if filled > SOLID and shorter > NARROW * longer else 0.0
