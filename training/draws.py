"""The random numbers and smooth surfaces that augmentation is made of."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(low: float, high: float, *size: int, like: Tensor) -> Tensor:
    """Numbers drawn evenly from [low, high), of shape `size`, on the device of `like`."""
    return torch.rand(size, device=like.device) * (high - low) + low


def knot_weights(size: int, knots: int) -> Tensor:
    """How much each of `knots` even control points counts at each of `size` pixels; rows sum to 1."""
    pixels = (torch.arange(size) + 0.5) / size
    centres = (torch.arange(knots) + 0.5) / knots
    bumps = torch.exp(-0.5 * ((pixels[:, None] - centres) * knots / 0.7) ** 2)
    return bumps / bumps.sum(dim=1, keepdim=True)
