"""Shapes that are no digits: outlines as lines, and the same full of ink."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training import glyphs
from training.pen import Line, Random, curve, rotated, turned

LARGE = 112


def _polygon(corners: int, rng: Random) -> Line:
    start = rng.uniform(0, 6.3)
    angle = start + 2 * np.pi * np.arange(corners + 1) / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _any_polygon(rng: Random) -> Line:
    return _polygon(int(rng.integers(3, 5)), rng)


def _square(rng: Random) -> Line:
    high = np.exp(rng.normal(0, 0.25))
    return rotated(
        np.array([[-1, -high], [1, -high], [1, high], [-1, high], [-1, -high]]), rng.normal(0, 0.05)
    )


def _star(rng: Random) -> Line:
    points = int(rng.integers(4, 8))
    angle = -np.pi / 2 + np.pi * np.arange(2 * points + 1) / points + rng.normal(0, 0.1)
    reach = np.where(np.arange(2 * points + 1) % 2, rng.uniform(0.3, 0.6), 1)
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)


def heart(rng: Random) -> Line:
    """The outline of a heart."""
    t = np.linspace(0, 2 * np.pi, 60) + np.pi
    x = 16 * np.sin(t) ** 3 * rng.uniform(0.8, 1.2)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) * rng.uniform(0.7, 1.3) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return rotated(np.stack([x, y], axis=1) / 16, rng.normal(0, 0.12))


def _flower(rng: Random) -> Line:
    t = np.linspace(0, 2 * np.pi, 120)
    reach = 1 + rng.uniform(0.2, 0.6) * np.sin(int(rng.integers(3, 8)) * t + rng.uniform(0, 6))
    return np.stack([reach * np.cos(t), reach * np.sin(t)], axis=1)


def _moon(rng: Random) -> Line:
    t = np.linspace(-2, 2, 30)
    outer = np.stack([np.cos(t), np.sin(t)], axis=1)
    inner = np.stack([rng.uniform(0.0, 0.5) * (np.cos(t) + 0.42) - 0.42, np.sin(t)], axis=1)[::-1]
    return turned(np.concatenate([outer, inner, outer[:1]]), rng)


def _arrow(rng: Random) -> Line:
    slim, head = rng.uniform(0.1, 0.25), rng.uniform(0.3, 0.7)
    half = np.array([[-1, slim], [0.1, slim], [0.1, head], [1, 0]])
    whole = np.concatenate([half, half[::-1] * [1, -1], half[:1]])
    return turned(whole, rng)


def _blob(rng: Random) -> Line:
    return curve(
        _polygon(int(rng.integers(5, 9)), rng) * rng.uniform(0.5, 1.2, (1, 2)) + rng.normal(0, 0.2, 2)
    )


def _disc(rng: Random) -> Line:
    return _polygon(30, rng)


_OUTLINES: tuple[Callable[[Random], Line], ...] = (
    heart, heart, _star, _any_polygon, _square, _flower, _moon, _arrow, _blob, _disc,
)  # fmt: skip


def shape(rng: Random) -> list[Line]:
    """An outline, a cross, an arrow, a face, a wave, a house, a window or bars."""
    choice = int(rng.integers(14))
    if choice < 8:
        outline = _OUTLINES[choice](rng) * rng.uniform(0.7, 1, 2)
        return [outline + rng.normal(0, 0.02, outline.shape)] if choice < 4 else [outline]
    wobble = rng.normal(0, 0.04, (30, 2))
    if choice == 8:  # a cross, upright or not
        lines = [np.array([[-1.0, 0], [1, 0]]), np.array([[0.0, -1], [0, 1]])]
        return _wobbling([rotated(line, rng.uniform(0, np.pi)) for line in lines], wobble)
    if choice == 9:  # an arrow of three lines
        lines = [np.array([[-1.0, 0], [1, 0]]), np.array([[0.5, -0.5], [1, 0], [0.5, 0.5]])]
        angle = rng.uniform(0, 2 * np.pi)
        return _wobbling([rotated(line, angle) for line in lines], wobble)
    if choice == 10:  # a face
        eye = rng.uniform(0.05, 0.15)
        mouth = curve(np.array([[-0.5, 0.3], [0, 0.3 + rng.normal(0, 0.25)], [0.5, 0.3]]))
        eyes = [eye * _disc(rng) + [x, -0.3] for x in (-0.4, 0.4)]
        return [_disc(rng) * rng.uniform(0.8, 1.1, 2), mouth, *eyes]
    if choice == 11:  # a wave
        t = np.linspace(0, 1, 60)
        wave = np.stack([t, rng.uniform(0.05, 0.3) * np.sin(2 * np.pi * rng.uniform(1.3, 4) * t)], axis=1)
        return [rotated(wave, rng.normal(0, 0.4))]
    if choice == 12:  # a house, a grid or a window
        house = [_square(rng), np.array([[-1.0, -1], [0, -1.8], [1, -1]])]
        window = [_square(rng), np.array([[0.0, -1], [0, 1]]), np.array([[-1.0, 0], [1, 0]])]
        return _wobbling(house if rng.random() < 0.5 else window, wobble)
    # A bar that lies, or a few that do.
    bars = np.linspace(0, rng.uniform(0.3, 1), int(rng.integers(1, 4)))
    return _wobbling([np.array([[-1.0, at], [1, at]]) for at in bars], wobble)


def _wobbling(lines: list[Line], wobble: Line) -> list[Line]:
    return [line + wobble[: len(line)] for line in lines]


def filled(rng: Random) -> NDArray[np.uint8]:
    """An outline in the form of MNIST, full of ink: (28, 28)."""
    outline = _OUTLINES[rng.integers(len(_OUTLINES))](rng) * rng.uniform(0.6, 1, 2)
    outline += rng.normal(0, 0.01, outline.shape)
    low, high = outline.min(axis=0), outline.max(axis=0)
    large = (outline - low) / (high - low).max() * (LARGE - 1)
    picture = Image.new("L", (LARGE, LARGE))
    ImageDraw.Draw(picture).polygon([tuple(point) for point in large], fill=255)
    return glyphs.in_form(picture)
