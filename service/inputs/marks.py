"""Which marks on a sheet are the digit, and which are a frame, a hole, a thumb or dust."""

from __future__ import annotations

import math

import numpy as np

from service.inputs.components import Components, Mask

# More marks than these are noise, or a pattern.
MOST = 12

# In shares of the picture's longer side: what reaches the border and is smaller is a thumb, a hole or a fold.
CUT = 0.3
# In shares of the largest mark: a mark at least so large is ink, wherever it is (there may be two digits); a
# smaller one, a piece of a digit, only near the others; and what is enclosed by a frame is no dust.
LARGE, PIECE, NEAR, ENCLOSED = 0.5, 0.1, 0.2, 0.3
# What fills a side of the picture is no digit.
FULL = 0.97
# A frame runs along most of the sides of its box, in the outer part of it.
ALONG, OUTER = 0.85, 0.15


def choose_ink(marks: Components) -> Mask:
    """Return which of the marks are ink; none may be."""
    ink = ~marks.at_border
    if len(ink) == 1 and ink[0]:  # most pictures have one mark
        return ink
    if not ink.any() or marks.size[ink].max() < marks.size.max():
        ink |= _cut_by_the_border(marks)
    large = ink & (marks.size >= LARGE * marks.size[ink].max(initial=0))
    if np.count_nonzero(large) > MOST:
        return np.zeros_like(ink)
    _leave_frames_out(marks, ink, large)
    if not ink.any():
        return ink
    largest = marks.size[ink].max()
    pieces = ink & (marks.size >= PIECE * largest)
    chosen = ink & (marks.size >= LARGE * largest)
    while (more := pieces & ~chosen & _near(marks, chosen, NEAR * largest)).any():
        chosen |= more
    return chosen if np.count_nonzero(chosen) <= MOST else np.zeros_like(chosen)


def _cut_by_the_border(marks: Components) -> Mask:
    """Return which marks may be a digit that reaches the border: large ones that fill no side of it."""
    cut = marks.at_border & (marks.size >= CUT * max(marks.shape))
    for which in np.flatnonzero(cut):
        mark = marks.mask(np.arange(len(cut)) == which)
        sides = mark[0], mark[-1], mark[:, 0], mark[:, -1]
        cut[which] = all(np.count_nonzero(side) < FULL * len(side) for side in sides)
    return cut


def _leave_frames_out(marks: Components, ink: Mask, large: Mask) -> None:
    """Take from the ink what has other ink within it, and is a frame."""
    for outer in np.flatnonzero(large):
        if (ink & _within(marks, outer)).any() and _is_frame(marks, outer):
            ink[outer] = False


def _within(marks: Components, outer: np.intp) -> Mask:
    """Return which marks lie within the box of another, and are no dust beside it."""
    within: Mask = (
        (marks.top > marks.top[outer])
        & (marks.bottom < marks.bottom[outer])
        & (marks.left > marks.left[outer])
        & (marks.right < marks.right[outer])
        & (marks.size >= ENCLOSED * marks.size[outer])
    )
    return within


def _is_frame(marks: Components, which: np.intp) -> bool:
    """Return whether a mark runs along three sides of its box at least; the fourth may be too faint."""
    rows = slice(int(marks.top[which]), int(marks.bottom[which]))
    columns = slice(int(marks.left[which]), int(marks.right[which]))
    mark = marks.mask(np.arange(len(marks.top)) == which)[rows, columns]
    high, wide = (math.ceil(OUTER * length) for length in mark.shape)
    sides = mark[:high], mark[-high:], mark[:, :wide].T, mark[:, -wide:].T
    along = [np.count_nonzero(side.any(axis=0)) > ALONG * side.shape[1] for side in sides]
    return along.count(True) >= 3


def _near(marks: Components, chosen: Mask, gap: float) -> Mask:
    """Return which marks are no further than this from the box around those that are chosen."""
    near: Mask = (
        (marks.top <= marks.bottom[chosen].max() + gap)
        & (marks.bottom >= marks.top[chosen].min() - gap)
        & (marks.left <= marks.right[chosen].max() + gap)
        & (marks.right >= marks.left[chosen].min() - gap)
    )
    return near
