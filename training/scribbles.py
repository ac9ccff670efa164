"""What a pen leaves that goes nowhere, as lines: each function draws one of a kind."""

from __future__ import annotations

import numpy as np

from training.pen import Line, Random, curve, rotated, turned


def scribble(rng: Random) -> list[Line]:
    """A zigzag, a tangle, a coil, hatching, several strokes, or another one."""
    return _SCRIBBLES[rng.integers(len(_SCRIBBLES))](rng)


def _tangle(rng: Random) -> list[Line]:
    return [curve(rng.uniform(0, 1, (int(rng.integers(6, 16)), 2)))]


def _angles(rng: Random) -> list[Line]:
    return [rng.uniform(0, 1, (int(rng.integers(6, 14)), 2))]


def _walk(rng: Random) -> list[Line]:
    steps = rng.normal(0, 1, (int(rng.integers(12, 40)), 2))
    return [curve(np.cumsum(steps, axis=0) * rng.uniform(0.5, 1, 2))]


def _zigzag(rng: Random) -> list[Line]:
    turns = int(rng.integers(4, 14))
    ahead, across = np.linspace(0, 1, turns), np.arange(turns) % 2 * rng.uniform(0.3, 1.2)
    points = np.stack([ahead, across], axis=1) + rng.normal(0, 0.06, (turns, 2))
    points = turned(points, rng)
    return [curve(points) if rng.random() < 0.5 else points]


def _coil(rng: Random) -> list[Line]:
    turns = rng.uniform(2.2, 7)
    t = np.linspace(0, 1, 120)
    ahead = rng.uniform(0.3, 2.0) * t
    angle = 2 * np.pi * turns * t
    wide, high = rng.uniform(0.15, 0.6, 2)
    return [turned(np.stack([ahead + wide * np.cos(angle), high * np.sin(angle)], axis=1), rng)]


def _spiral(rng: Random) -> list[Line]:
    t = np.linspace(0.05, 1, 120)
    angle = 2 * np.pi * rng.uniform(1.8, 4.5) * t * rng.choice([-1, 1]) + rng.uniform(0, 6.3)
    return [np.stack([t * np.cos(angle), rng.uniform(0.6, 1.3) * t * np.sin(angle)], axis=1)]


def _hatching(rng: Random) -> list[Line]:
    count = int(rng.integers(3, 8))
    lean = rng.normal(0, 0.3)
    lines = [
        np.array([[at, 0.0], [at + lean, 1.0]]) + rng.normal(0, 0.04, (2, 2))
        for at in np.linspace(0, 1, count)
    ]
    angle = rng.uniform(0, np.pi)
    return [rotated(line, angle) for line in lines]


def _strokes(rng: Random) -> list[Line]:
    lines = [rng.uniform(0, 1, (2, 2)) for _ in range(int(rng.integers(3, 8)))]
    if rng.random() < 0.4:
        lines += [curve(rng.uniform(0, 1, (int(rng.integers(3, 5)), 2)))]
    return lines


def _arcs(rng: Random) -> list[Line]:
    return [curve(rng.uniform(0, 1, (int(rng.integers(3, 6)), 2))) for _ in range(int(rng.integers(3, 6)))]


_SCRIBBLES = (_tangle, _angles, _walk, _zigzag, _coil, _spiral, _hatching, _strokes, _arcs)
