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
from training.pen import Line, curve, draw

Random = np.random.Generator


def handwriting(count: int, random: Random) -> Digits:
    """Draw so many digits, each of the ten as often as chance has it."""
    labels = random.integers(10, size=count)
    drawings = [_vary(FORMS[label](random), random) for label in labels]
    return Digits(draw(drawings, random), torch.from_numpy(labels))


def _vary(lines: list[Line], random: Random) -> list[Line]:
    """Another width and slant, and lines that tremble and bend."""
    width, slant = np.exp(random.normal(-0.45, 0.25)), random.normal(0.08, 0.18)
    wave, phase = random.normal(0, 0.025, (2, 2)), random.uniform(0, 6.3, (2, 2))
    varied = []
    for line in lines:
        bent = line + wave[0] * np.sin(5 * line[:, ::-1] + phase[0]) + wave[1] * np.sin(9 * line + phase[1])
        varied.append(np.stack([width * bent[:, 0] - slant * bent[:, 1], bent[:, 1]], axis=1))
    return varied


def _through(random: Random, *points: tuple[float, float], by: float = 0.04) -> Line:
    """A smooth line through the points, as exactly as a hand does it."""
    return curve(np.array(points) + random.normal(0, by, (len(points), 2)))


def _along(random: Random, *points: tuple[float, float], by: float = 0.035) -> Line:
    """A line with corners."""
    return np.array(points) + random.normal(0, by, (len(points), 2))


def _ring(random: Random, x: float, y: float, wide: float, high: float, *, start: float, turn: float) -> Line:
    """A part of an ellipse; angles in turns, from the right over the bottom."""
    angle = 2 * np.pi * (start + np.linspace(0, turn, 24))
    grow = 1 + random.normal(0, 0.1) * np.linspace(-0.5, 0.5, 24)
    return np.stack([x + wide * grow * np.cos(angle), y + high * grow * np.sin(angle)], axis=1)


def _zero(random: Random) -> list[Line]:
    start, turn = random.uniform(0.6, 0.95), random.choice([-1, 1]) * random.uniform(0.95, 1.15)
    return [_ring(random, 0.5, 0.5, 0.5, 0.5, start=start, turn=turn)]


def _one(random: Random) -> list[Line]:
    stem, flag = [(0.5, 0.0), (0.5, 1.0)], random.uniform(0.1, 0.45)
    kind = random.random()
    if kind < 0.25:
        return [_along(random, *stem, by=0.02)]
    lines = [_along(random, (0.5 - flag, random.uniform(0.1, 0.45)), *stem, by=0.02)]
    if kind > 0.6:
        foot = random.uniform(0.15, 0.4)
        lines.append(_along(random, (0.5 - foot, 1.0), (0.5 + foot, 1.0), by=0.02))
    return lines


def _two(random: Random) -> list[Line]:
    top = [(0.05, 0.25), (0.25, 0.03), (0.65, 0.0), (0.9, 0.25), (0.7, 0.55)]
    kind = random.random()
    if kind < 0.4:  # a sharp corner, or a foot that hangs
        foot = random.uniform(-0.05, 0.06)
        return [
            np.concatenate([_through(random, *top, (0.05, 0.98)), _along(random, (0.5, 0.97), (1, 1 + foot))])
        ]
    if kind < 0.75:  # a loop
        return [
            _through(random, *top, (0.2, 0.9), (0.0, 0.92), (0.15, 0.78), (0.45, 0.92), (0.8, 1.0), (1, 0.9))
        ]
    return [_through(random, *top, (0.3, 0.85), (0.05, 1.0), (0.4, 0.93), (0.7, 1.0), (1, 0.93))]


def _three(random: Random) -> list[Line]:
    waist = random.uniform(0.2, 0.5)
    bottom = [(waist, 0.46), (0.85, 0.55), (0.95, 0.78), (0.6, 1.0), (0.2, 0.97), (0.02, 0.82)]
    if random.random() < 0.25:  # a flat top
        return [
            np.concatenate(
                [_along(random, (0.05, 0.03), (0.85, 0.02), (waist, 0.42)), _through(random, *bottom)]
            )
        ]
    return [_through(random, (0.05, 0.15), (0.35, 0.0), (0.8, 0.08), (0.8, 0.33), *bottom)]


def _four(random: Random) -> list[Line]:
    bar, stem = random.uniform(0.55, 0.75), random.uniform(0.6, 0.8)
    kind = random.random()
    if kind < 0.35:  # open
        left = random.uniform(0.0, 0.35)
        return [
            _along(random, (left, 0.02), (0.05, bar), (1, bar)),
            _along(random, (stem, random.uniform(0.0, 0.4)), (stem, 1)),
        ]
    if kind < 0.5:  # open and round, as an u
        return [
            _through(random, (0.08, 0.0), (0.05, 0.4), (0.3, bar - 0.1), (0.8, bar - 0.15)),
            _along(random, (0.85, 0.0), (0.8, 1)),
        ]
    if kind < 0.8:  # closed, in one or two lines
        return [
            _along(random, (stem, 0.02), (0.0, bar), (1, bar)),
            _along(random, (stem, 0.0), (stem, 1), by=0.02),
        ]
    return [  # as lightning
        _along(random, (0.6, 0.0), (0.05, bar), (0.95, bar)),
        _along(random, (0.65, bar - random.uniform(0.1, 0.3)), (0.55, 1)),
    ]


def _five(random: Random) -> list[Line]:
    top = random.uniform(0.02, 0.25)
    belly = [(0.15, 0.45), (0.55, 0.38), (0.92, 0.6), (0.85, 0.88), (0.45, 1.0), (0.02, 0.9)]
    if random.random() < 0.5:  # the bar comes last, and may miss
        gap = random.uniform(-0.05, 0.1)
        return [
            np.concatenate([_along(random, (top, gap), (0.12, 0.45)), _through(random, *belly)]),
            _along(random, (top, 0.0), (0.95, random.uniform(-0.05, 0.05))),
        ]
    return [np.concatenate([_along(random, (0.9, 0.0), (top, 0.02), (0.1, 0.47)), _through(random, *belly)])]


def _six(random: Random) -> list[Line]:
    start = (random.uniform(0.45, 0.9), 0.0)
    if random.random() < 0.3:  # a straight stem
        start = (random.uniform(0.25, 0.6), 0.0)
    size, end = random.uniform(0.42, 0.6), random.uniform(0.6, 0.85)
    bowl = [(0.02, 0.7), (0.3, 1.0), (0.75, 0.97), (0.95, 0.75), (0.7, 1 - size), (0.3, 1.1 - size)]
    return [_through(random, start, (0.2, 0.3), *bowl, (0.08, end))]


def _seven(random: Random) -> list[Line]:
    foot, top = random.uniform(0.1, 0.55), random.uniform(-0.04, 0.06)
    line = [_along(random, (0.0, 0.02), (0.95, top)), _through(random, (0.95, top), (0.6, 0.45), (foot, 1.0))]
    lines = [np.concatenate(line)]
    if random.random() < 0.55:
        bar, reach = random.uniform(0.42, 0.6), random.uniform(0.2, 0.4)
        lines.append(_along(random, (0.55 - reach, bar + 0.02), (0.55 + reach, bar)))
    if random.random() < 0.25:
        lines.append(_along(random, (0.0, 0.02), (0.0, random.uniform(0.1, 0.25)), by=0.02))
    return lines


def _eight(random: Random) -> list[Line]:
    if random.random() < 0.35:  # two rings
        waist, small = random.uniform(0.4, 0.52), random.uniform(0.3, 0.46)
        return [
            _ring(random, 0.5, waist / 2, small, waist / 2, start=0.25, turn=1.02),
            _ring(random, 0.5, (1 + waist) / 2, 0.48, (1 - waist) / 2, start=0.75, turn=1.02),
        ]
    top = [(0.85, 0.15), (0.5, 0.0), (0.12, 0.15), (0.3, 0.4)]
    bottom = [(0.75, 0.6), (0.9, 0.82), (0.5, 1.0), (0.08, 0.82), (0.3, 0.58), (0.7, 0.38)]
    return [_through(random, *top, *bottom, (0.88, random.uniform(0.05, 0.25)))]


def _nine(random: Random) -> list[Line]:
    size = random.uniform(0.4, 0.58)
    bowl = [(0.85, 0.12), (0.5, 0.0), (0.08, size / 2), (0.3, size), (0.7, size - 0.06), (0.88, 0.15)]
    kind = random.random()
    if kind < 0.4:  # a straight stem
        return [_through(random, *bowl), _along(random, (0.9, 0.08), (random.uniform(0.55, 0.95), 1.0))]
    if kind < 0.75:  # a curl
        return [
            _through(random, *bowl, (0.9, 0.7), (0.65, 0.97), (0.3, 0.98), (0.05, random.uniform(0.75, 0.92)))
        ]
    return [_through(random, *bowl, (0.75, 0.6), (random.uniform(0.2, 0.5), 1.0))]


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
