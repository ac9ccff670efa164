"""What a pen leaves that goes nowhere, as lines: each function draws one of a kind."""

from __future__ import annotations

import numpy as np

from training.pen import Line, Random, curve, rotated, turned


def scribble(random: Random) -> list[Line]:
    """A zigzag, a tangle, a coil, hatching, several strokes, or another one."""
    return _SCRIBBLES[random.integers(len(_SCRIBBLES))](random)


def _tangle(random: Random) -> list[Line]:
    return [curve(random.uniform(0, 1, (int(random.integers(6, 16)), 2)))]


def _angles(random: Random) -> list[Line]:
    return [random.uniform(0, 1, (int(random.integers(6, 14)), 2))]


def _walk(random: Random) -> list[Line]:
    steps = random.normal(0, 1, (int(random.integers(12, 40)), 2))
    return [curve(np.cumsum(steps, axis=0) * random.uniform(0.5, 1, 2))]


def _zigzag(random: Random) -> list[Line]:
    turns = int(random.integers(4, 14))
    ahead, across = np.linspace(0, 1, turns), np.arange(turns) % 2 * random.uniform(0.3, 1.2)
    points = np.stack([ahead, across], axis=1) + random.normal(0, 0.06, (turns, 2))
    points = turned(points, random)
    return [curve(points) if random.random() < 0.5 else points]


def _coil(random: Random) -> list[Line]:
    turns = random.uniform(2.2, 7)
    t = np.linspace(0, 1, 120)
    ahead = random.uniform(0.3, 2.0) * t
    angle = 2 * np.pi * turns * t
    wide, high = random.uniform(0.15, 0.6, 2)
    return [turned(np.stack([ahead + wide * np.cos(angle), high * np.sin(angle)], axis=1), random)]


def _spiral(random: Random) -> list[Line]:
    t = np.linspace(0.05, 1, 120)
    angle = 2 * np.pi * random.uniform(1.8, 4.5) * t * random.choice([-1, 1]) + random.uniform(0, 6.3)
    return [np.stack([t * np.cos(angle), random.uniform(0.6, 1.3) * t * np.sin(angle)], axis=1)]


def _hatching(random: Random) -> list[Line]:
    count = int(random.integers(3, 8))
    lean = random.normal(0, 0.3)
    lines = [
        np.array([[at, 0.0], [at + lean, 1.0]]) + random.normal(0, 0.04, (2, 2))
        for at in np.linspace(0, 1, count)
    ]
    angle = random.uniform(0, np.pi)
    return [rotated(line, angle) for line in lines]


def _strokes(random: Random) -> list[Line]:
    lines = [random.uniform(0, 1, (2, 2)) for _ in range(int(random.integers(3, 8)))]
    if random.random() < 0.4:
        lines += [curve(random.uniform(0, 1, (int(random.integers(3, 5)), 2)))]
    return lines


def _arcs(random: Random) -> list[Line]:
    return [
        curve(random.uniform(0, 1, (int(random.integers(3, 6)), 2)))
        for _ in range(int(random.integers(3, 6)))
    ]


_SCRIBBLES = (_tangle, _angles, _walk, _zigzag, _coil, _spiral, _hatching, _strokes, _arcs)
