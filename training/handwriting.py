"""Digits as people write them who did not fill in MNIST's forms, drawn by code.

The 1 with a flag and a foot, the 7 with a bar, the 4 open and closed, the 9 with a curl: rare among MNIST's
writers, common elsewhere. Each form is a few lines in a box from (0, 0) at the top left to (1, 1), whose
points move a little from drawing to drawing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from training.data import Digits
from training.pen import Line, Random, curve, draw


def handwriting(count: int, rng: Random) -> Digits:
    """Draw so many digits, each of the ten as often as chance has it."""
    labels = rng.integers(10, size=count)
    drawings = [_vary(FORMS[label](rng), rng) for label in labels]
    return Digits(draw(drawings, rng), torch.from_numpy(labels))


def _vary(lines: list[Line], rng: Random) -> list[Line]:
    """Another width and slant, and lines that tremble and bend."""
    width, slant = np.exp(rng.normal(-0.45, 0.25)), rng.normal(0.08, 0.18)
    wave, phase = rng.normal(0, 0.025, (2, 2)), rng.uniform(0, 6.3, (2, 2))
    varied = []
    for line in lines:
        bent = line + wave[0] * np.sin(5 * line[:, ::-1] + phase[0]) + wave[1] * np.sin(9 * line + phase[1])
        varied.append(np.stack([width * bent[:, 0] - slant * bent[:, 1], bent[:, 1]], axis=1))
    return varied


def _through(rng: Random, *points: tuple[float, float], by: float = 0.04) -> Line:
    """A smooth line through the points, as exactly as a hand does it."""
    return curve(np.array(points) + rng.normal(0, by, (len(points), 2)))


def _along(rng: Random, *points: tuple[float, float], by: float = 0.035) -> Line:
    """A line with corners."""
    return np.array(points) + rng.normal(0, by, (len(points), 2))


def _ring(rng: Random, x: float, y: float, wide: float, high: float, *, start: float, turn: float) -> Line:
    """A part of an ellipse; angles in turns, from the right over the bottom."""
    angle = 2 * np.pi * (start + np.linspace(0, turn, 24))
    grow = 1 + rng.normal(0, 0.1) * np.linspace(-0.5, 0.5, 24)
    return np.stack([x + wide * grow * np.cos(angle), y + high * grow * np.sin(angle)], axis=1)


def _zero(rng: Random) -> list[Line]:
    start, turn = rng.uniform(0.6, 0.95), rng.choice([-1, 1]) * rng.uniform(0.95, 1.15)
    return [_ring(rng, 0.5, 0.5, 0.5, 0.5, start=start, turn=turn)]


def _one(rng: Random) -> list[Line]:
    stem, flag = [(0.5, 0.0), (0.5, 1.0)], rng.uniform(0.1, 0.45)
    kind = rng.random()
    if kind < 0.25:
        return [_along(rng, *stem, by=0.02)]
    lines = [_along(rng, (0.5 - flag, rng.uniform(0.1, 0.45)), *stem, by=0.02)]
    if kind > 0.6:
        foot = rng.uniform(0.15, 0.4)
        lines.append(_along(rng, (0.5 - foot, 1.0), (0.5 + foot, 1.0), by=0.02))
    return lines


def _two(rng: Random) -> list[Line]:
    top = [(0.05, 0.25), (0.25, 0.03), (0.65, 0.0), (0.9, 0.25), (0.7, 0.55)]
    kind = rng.random()
    if kind < 0.4:  # a sharp corner, or a foot that hangs
        foot = rng.uniform(-0.05, 0.06)
        return [np.concatenate([_through(rng, *top, (0.05, 0.98)), _along(rng, (0.5, 0.97), (1, 1 + foot))])]
    if kind < 0.75:  # a loop
        return [
            _through(rng, *top, (0.2, 0.9), (0.0, 0.92), (0.15, 0.78), (0.45, 0.92), (0.8, 1.0), (1, 0.9))
        ]
    return [_through(rng, *top, (0.3, 0.85), (0.05, 1.0), (0.4, 0.93), (0.7, 1.0), (1, 0.93))]


def _three(rng: Random) -> list[Line]:
    waist = rng.uniform(0.2, 0.5)
    bottom = [(waist, 0.46), (0.85, 0.55), (0.95, 0.78), (0.6, 1.0), (0.2, 0.97), (0.02, 0.82)]
    if rng.random() < 0.25:  # a flat top
        return [
            np.concatenate([_along(rng, (0.05, 0.03), (0.85, 0.02), (waist, 0.42)), _through(rng, *bottom)])
        ]
    return [_through(rng, (0.05, 0.15), (0.35, 0.0), (0.8, 0.08), (0.8, 0.33), *bottom)]


def _four(rng: Random) -> list[Line]:
    bar, stem = rng.uniform(0.55, 0.75), rng.uniform(0.6, 0.8)
    kind = rng.random()
    if kind < 0.35:  # open
        left = rng.uniform(0.0, 0.35)
        return [
            _along(rng, (left, 0.02), (0.05, bar), (1, bar)),
            _along(rng, (stem, rng.uniform(0.0, 0.4)), (stem, 1)),
        ]
    if kind < 0.5:  # open and round, as an u
        return [
            _through(rng, (0.08, 0.0), (0.05, 0.4), (0.3, bar - 0.1), (0.8, bar - 0.15)),
            _along(rng, (0.85, 0.0), (0.8, 1)),
        ]
    if kind < 0.8:  # closed, in one or two lines
        return [
            _along(rng, (stem, 0.02), (0.0, bar), (1, bar)),
            _along(rng, (stem, 0.0), (stem, 1), by=0.02),
        ]
    return [  # as lightning
        _along(rng, (0.6, 0.0), (0.05, bar), (0.95, bar)),
        _along(rng, (0.65, bar - rng.uniform(0.1, 0.3)), (0.55, 1)),
    ]


def _five(rng: Random) -> list[Line]:
    top = rng.uniform(0.02, 0.25)
    belly = [(0.15, 0.45), (0.55, 0.38), (0.92, 0.6), (0.85, 0.88), (0.45, 1.0), (0.02, 0.9)]
    if rng.random() < 0.5:  # the bar comes last, and may miss
        gap = rng.uniform(-0.05, 0.1)
        return [
            np.concatenate([_along(rng, (top, gap), (0.12, 0.45)), _through(rng, *belly)]),
            _along(rng, (top, 0.0), (0.95, rng.uniform(-0.05, 0.05))),
        ]
    return [np.concatenate([_along(rng, (0.9, 0.0), (top, 0.02), (0.1, 0.47)), _through(rng, *belly)])]


def _six(rng: Random) -> list[Line]:
    start = (rng.uniform(0.45, 0.9), 0.0)
    if rng.random() < 0.3:  # a straight stem
        start = (rng.uniform(0.25, 0.6), 0.0)
    size, end = rng.uniform(0.42, 0.6), rng.uniform(0.6, 0.85)
    bowl = [(0.02, 0.7), (0.3, 1.0), (0.75, 0.97), (0.95, 0.75), (0.7, 1 - size), (0.3, 1.1 - size)]
    return [_through(rng, start, (0.2, 0.3), *bowl, (0.08, end))]


def _seven(rng: Random) -> list[Line]:
    foot, top = rng.uniform(0.1, 0.55), rng.uniform(-0.04, 0.06)
    line = [_along(rng, (0.0, 0.02), (0.95, top)), _through(rng, (0.95, top), (0.6, 0.45), (foot, 1.0))]
    lines = [np.concatenate(line)]
    if rng.random() < 0.55:
        bar, reach = rng.uniform(0.42, 0.6), rng.uniform(0.2, 0.4)
        lines.append(_along(rng, (0.55 - reach, bar + 0.02), (0.55 + reach, bar)))
    if rng.random() < 0.25:
        lines.append(_along(rng, (0.0, 0.02), (0.0, rng.uniform(0.1, 0.25)), by=0.02))
    return lines


def _eight(rng: Random) -> list[Line]:
    if rng.random() < 0.35:  # two rings
        waist, small = rng.uniform(0.4, 0.52), rng.uniform(0.3, 0.46)
        return [
            _ring(rng, 0.5, waist / 2, small, waist / 2, start=0.25, turn=1.02),
            _ring(rng, 0.5, (1 + waist) / 2, 0.48, (1 - waist) / 2, start=0.75, turn=1.02),
        ]
    top = [(0.85, 0.15), (0.5, 0.0), (0.12, 0.15), (0.3, 0.4)]
    bottom = [(0.75, 0.6), (0.9, 0.82), (0.5, 1.0), (0.08, 0.82), (0.3, 0.58), (0.7, 0.38)]
    return [_through(rng, *top, *bottom, (0.88, rng.uniform(0.05, 0.25)))]


def _nine(rng: Random) -> list[Line]:
    size = rng.uniform(0.4, 0.58)
    bowl = [(0.85, 0.12), (0.5, 0.0), (0.08, size / 2), (0.3, size), (0.7, size - 0.06), (0.88, 0.15)]
    kind = rng.random()
    if kind < 0.4:  # a straight stem
        return [_through(rng, *bowl), _along(rng, (0.9, 0.08), (rng.uniform(0.55, 0.95), 1.0))]
    if kind < 0.75:  # a curl
        return [_through(rng, *bowl, (0.9, 0.7), (0.65, 0.97), (0.3, 0.98), (0.05, rng.uniform(0.75, 0.92)))]
    return [_through(rng, *bowl, (0.75, 0.6), (rng.uniform(0.2, 0.5), 1.0))]


FORMS: tuple[Callable[[Random], list[Line]], ...] = (
    _zero,
    _one,
    _two,
    _three,
    _four,
    _five,
    _six,
    _seven,
    _eight,
    _nine,
)
