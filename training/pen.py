"""Draw lines with a pen in the form of MNIST: white ink in a box of 20 x 20, its mass in the centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Line = NDArray[np.float64]  # points (N, 2), x to the right and y down, in any unit
Random = np.random.Generator
SIDE, BOX = 28, 20
# So many points make a drawing: less than a pixel apart in any that fits the box.
POINTS = 128
# The centre of mass lies in the middle of pixel 14, counted from 0.
CENTRE = 14.0
CHUNK = 500


def curve(points: Sequence[Sequence[float]] | Line, *, steps: int = 10) -> Line:
    """Return a smooth line through the points: a Catmull-Rom spline."""
    knots = np.asarray(points, np.float64)
    ends = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    before, start, end, after = (ends[i : len(ends) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    bent = start + 0.5 * t * (
        end
        - before
        + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    return np.concatenate([bent.reshape(-1, 2), knots[-1:]])


def rotated(points: Line, angle: float) -> Line:
    """Return the points turned around the origin by an angle in radians."""
    moved: Line = points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return moved


def turned(points: Line, rng: Random) -> Line:
    """Return the points turned by any angle."""
    return rotated(points, rng.uniform(0, 2 * np.pi))


def scatter(lines: Sequence[Line], points: int = POINTS) -> Line:
    """Return so many points (points, 2), evenly spread over the lines; the pen is lifted between them."""
    starts = np.concatenate([line[:-1] for line in lines])
    ways = np.concatenate([np.diff(line, axis=0) for line in lines])
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(ways[:, 0], ways[:, 1]))])
    at = np.linspace(0, reached[-1], points)
    piece = np.clip(np.searchsorted(reached, at, side="right") - 1, 0, len(ways) - 1)
    share = (at - reached[piece]) / np.maximum(reached[piece + 1] - reached[piece], 1e-9)
    spread: Line = starts[piece] + share[:, None] * ways[piece]
    return spread


def in_box(points: Tensor, width: Tensor) -> Tensor:
    """Move and scale drawings (N, P, 2) so that a pen of this width in pixels (N,) fills MNIST's box."""
    low, high = points.amin(dim=1, keepdim=True), points.amax(dim=1, keepdim=True)
    side = (high - low).amax(dim=2, keepdim=True).clamp(min=1e-6)
    scaled = (points - low) * ((BOX - width).view(-1, 1, 1) / side)
    return scaled - scaled.mean(dim=1, keepdim=True) + CENTRE


def ink(points: Tensor, width: Tensor) -> Tensor:
    """Draw points (N, P, 2), in pixels, with round pens of these widths (N,): images (N, 1, 28, 28) uint8."""
    axis = torch.arange(SIDE, dtype=torch.float32)
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=2).view(1, -1, 2)
    drawn = []
    for part, pen in zip(torch.split(points.float(), CHUNK), torch.split(width, CHUNK), strict=True):
        distance = torch.cdist(pixels.expand(len(part), -1, -1), part).amin(dim=2)
        level = (pen.view(-1, 1) / 2 + 0.5 - distance).clamp(0, 1)
        level = level / level.amax(dim=1, keepdim=True).clamp(min=0.1)
        drawn.append((255 * level).round().to(torch.uint8))
    return (
        torch.cat(drawn).view(-1, 1, SIDE, SIDE)
        if drawn
        else torch.zeros(0, 1, SIDE, SIDE, dtype=torch.uint8)
    )


def draw(drawings: Sequence[Sequence[Line]], rng: np.random.Generator) -> Tensor:
    """Draw each, some lines, with a pen of its own: images (N, 1, 28, 28) uint8, as MNIST's are."""
    points = np.zeros((len(drawings), POINTS, 2))
    for index, lines in enumerate(drawings):
        points[index] = scatter(lines)
    width = pens(len(drawings), rng)
    return ink(in_box(torch.from_numpy(points).float(), width), width)


def pens(count: int, rng: np.random.Generator) -> Tensor:
    """Widths of pens in pixels, from hairline to marker; the widths of MNIST's, 2 to 3, are the commonest."""
    return torch.from_numpy(np.clip(np.exp(rng.normal(0.8, 0.4, count)), 0.6, 4.8)).float()
