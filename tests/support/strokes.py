"""Pen strokes out of digit images: what a hand would have done to write them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
INK = 0.4 * 255


def strokes(image: NDArray[np.uint8]) -> list[list[Point]]:
    """Return the strokes of a digit, shape (28, 28), as lines of (x, y) in pixels, longest first.

    The ink is thinned to lines one pixel wide, which are then followed from end to end.
    """
    pixels = {(int(x), int(y)) for y, x in np.argwhere(_thin(image > INK))}
    lines: list[list[tuple[int, int]]] = []
    drawn: set[tuple[int, int]] = set()
    while pixels:
        start = min(pixels, key=lambda pixel: (len(_around(pixel, pixels)), pixel[1]))
        # A loop has no end; wherever it is cut, its line returns to where it began.
        closed = len(_around(start, pixels)) > 1
        line = _follow(start, pixels)
        pixels -= set(line)
        if all(_around(pixel, drawn) for pixel in line):
            continue  # crumbs beside a line, which the pen covers
        drawn |= set(line)
        if closed and len(line) > 3 and np.abs(np.subtract(line[0], line[-1])).max() <= 2:
            line.append(line[0])
        lines.append(line)
    return sorted((_smooth(line) for line in lines), key=len, reverse=True)


def _follow(start: tuple[int, int], pixels: set[tuple[int, int]]) -> list[tuple[int, int]]:
    line, left = [start], pixels - {start}
    while around := _around(line[-1], left):
        # Straight on, where there is a choice: pens do not turn sharply.
        ahead = np.subtract(line[-1], line[max(0, len(line) - 4)])
        line.append(max(around, key=lambda pixel: float(np.dot(ahead, np.subtract(pixel, line[-1])))))
        left -= {line[-1], *(_around(line[-2], left) if len(line) > 2 else ())}
    return line


def _around(pixel: tuple[int, int], pixels: set[tuple[int, int]]) -> list[tuple[int, int]]:
    x, y = pixel
    return [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i or j) and (x + i, y + j) in pixels]


def _smooth(line: list[tuple[int, int]]) -> list[Point]:
    """Take the stairs out of a line: the mean of each point and its two neighbours."""
    points = np.array(line, float) + 0.5
    inner = (points[:-2] + points[1:-1] + points[2:]) / 3
    return [tuple(point) for point in np.vstack([points[:1], inner, points[-1:]])]


def _thin(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin ink to lines one pixel wide: T. Y. Zhang, C. Y. Suen, CACM 27(3), 1984."""
    ink = np.pad(ink, 1)
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            # The eight neighbours of every pixel, clockwise from the one above.
            n, ne, e, se, s, sw, w, nw = (
                np.roll(ink, shift, (0, 1))
                for shift in ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            )
            ring = np.stack([n, ne, e, se, s, sw, w, nw])
            count = ring.sum(0)
            turns = (~ring & np.roll(ring, -1, 0)).sum(0)
            border = ~(n & e & s) & ~(e & s & w) if first else ~(n & e & w) & ~(n & s & w)
            gone = ink & (count >= 2) & (count <= 6) & (turns == 1) & border
            if gone.any():
                ink, changed = ink & ~gone, True
    thinned: NDArray[np.bool_] = ink[1:-1, 1:-1]
    return thinned
