"""The lines that a pen went along: ink thinned to a width of one pixel."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.pen import POINTS, in_box, ink, pens

INK = 0.4
CHUNK = 2000


def redraw(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw images (N, 1, H, W) in 0..1 again, each with another pen: (N, 1, 28, 28) uint8."""
    points = torch.cat([lines(part, rng) for part in torch.split(images, CHUNK)])
    width = pens(len(images), rng)
    return ink(in_box(points, width), width)


def lines(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return points (N, 128, 2) on the lines of each image (N, 1, H, W) in 0..1, in pixels."""
    large = F.interpolate(images, size=(56, 56), mode="bilinear", align_corners=False)
    thinned = thin(large[:, 0] > INK)
    points = np.zeros((len(images), POINTS, 2), np.float32)
    for index, each in enumerate(thinned.numpy()):
        y, x = np.nonzero(each)
        if not len(x):
            y, x = np.full(1, 28), np.full(1, 28)
        # All of them if there is room; chance decides which are left out, or are there twice.
        chosen = rng.permutation(len(x))[:POINTS]
        chosen = np.concatenate([chosen, rng.choice(chosen, POINTS - len(chosen))])
        points[index] = np.stack([x[chosen], y[chosen]], axis=1)
    # The stairs of a line go away where each point is moved a little.
    return torch.from_numpy(points + rng.uniform(-0.4, 0.4, points.shape).astype(np.float32))


def thin(ink: Tensor) -> Tensor:
    """Thin ink (N, H, W) bool to lines one pixel wide: T. Y. Zhang, C. Y. Suen, CACM 27(3), 1984."""
    tables = [torch.from_numpy(table) for table in _tables()]
    ink = F.pad(ink, (1, 1, 1, 1)).to(torch.uint8)
    active = torch.arange(len(ink))
    while len(active):
        part = ink[active]
        for table in tables:
            part[:, 1:-1, 1:-1] *= table[_neighbours(part).int()]
        changed = (part != ink[active]).flatten(1).any(dim=1)
        ink[active] = part
        active = active[changed]
    return ink[:, 1:-1, 1:-1].bool()


def _neighbours(ink: Tensor) -> Tensor:
    """The eight neighbours of each inner pixel as bits, clockwise from the one above."""
    ways = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    height, width = ink.shape[-2:]
    bits = torch.zeros(len(ink), height - 2, width - 2, dtype=torch.uint8)
    for bit, (y, x) in enumerate(ways):
        bits |= ink[:, 1 + y : height - 1 + y, 1 + x : width - 1 + x] << bit
    return bits


def _tables() -> list[NDArray[np.uint8]]:
    """For each of the two passes, whether a pixel with these neighbours stays."""
    ring = (np.arange(256)[:, None] >> np.arange(8)) & 1
    n, e, s, w = (ring[:, index].astype(bool) for index in (0, 2, 4, 6))
    count = ring.sum(axis=1)
    turns = ((ring == 0) & (np.roll(ring, -1, axis=1) == 1)).sum(axis=1)
    removable = (count >= 2) & (count <= 6) & (turns == 1)
    first = removable & ~(n & e & s) & ~(e & s & w)
    second = removable & ~(n & e & w) & ~(n & s & w)
    return [(~each).astype(np.uint8) for each in (first, second)]
