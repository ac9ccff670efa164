"""Ways to spoil a batch of digits, as real drawings and cameras do, for training to grow robust against."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2


class RandomDefects(v2.Transform):  # type: ignore[misc]
    """Spoil a fraction of the images, each in one way, as real drawings and cameras do.

    Images are float32 (N, 1, H, W) in 0..1 and stay in it. The families are broad on purpose: the corruption
    suite that measures robustness (`corruptions.py`) is made by other code with other parameters.
    """

    def __init__(self, fraction: float = 0.3) -> None:
        super().__init__()
        self.fraction = fraction

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Choose a defect for each image; the index past the last defect means none."""
        n = len(flat_inputs[0])
        kind = torch.randint(len(DEFECTS), (n,))
        kind[torch.rand(n) >= self.fraction] = len(DEFECTS)
        return {"kind": kind}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Return a copy of the (N, 1, H, W) images in which the chosen ones are spoiled."""
        images = inpt.clone()
        for index, defect in enumerate(DEFECTS):
            chosen = (params["kind"] == index).nonzero().squeeze(1).to(inpt.device)
            if len(chosen):
                images[chosen] = defect(images[chosen]).clamp(0, 1)
        return images


def uniform(low: float, high: float, *size: int, like: Tensor) -> Tensor:
    """Numbers drawn evenly from [low, high), of shape `size`, on the device of `like`."""
    return torch.rand(size, device=like.device) * (high - low) + low


def knot_weights(size: int, knots: int) -> Tensor:
    """How much each of `knots` even control points counts at each of `size` pixels; rows sum to 1."""
    pixels = (torch.arange(size) + 0.5) / size
    centres = (torch.arange(knots) + 0.5) / knots
    bumps = torch.exp(-0.5 * ((pixels[:, None] - centres) * knots / 0.7) ** 2)
    return bumps / bumps.sum(dim=1, keepdim=True)


def _each(low: float, high: float, images: Tensor) -> Tensor:
    """One number per image, shaped to multiply (N, 1, H, W)."""
    return uniform(low, high, len(images), 1, 1, 1, like=images)


def _thick(images: Tensor) -> Tensor:
    return torch.lerp(images, F.max_pool2d(images, 3, stride=1, padding=1), _each(0.3, 1, images))


def _thin(images: Tensor) -> Tensor:
    eroded = -F.max_pool2d(-F.pad(images, (0, 1, 0, 1)), 2, stride=1)
    return torch.lerp(images, eroded, _each(0.3, 1, images))


def _blur(images: Tensor) -> Tensor:
    sigma = float(torch.rand(())) * 1.3 + 0.4
    blurred: Tensor = v2.functional.gaussian_blur(images, kernel_size=[7, 7], sigma=[sigma, sigma])
    # A camera that blurs is often followed by a program that stretches the contrast again.
    return blurred * _each(1, 1.6, images)


def _still(images: Tensor) -> Tensor:
    """The sampling grid (N, H, W, 2) that changes nothing."""
    unmoved = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    return F.affine_grid(unmoved, list(images.shape), align_corners=False)


def _smear(images: Tensor) -> Tensor:
    """Moved while the picture was taken: the mean of views along a line or an arc."""
    angle, reach = _each(0, 2 * math.pi, images), _each(0.05, 0.35, images)
    bow = _each(-0.5, 0.5, images)
    still = _still(images)
    views = []
    for step in torch.linspace(-1, 1, 7).tolist():
        turn = angle + bow * step
        away = torch.cat([turn.cos(), turn.sin()], dim=3) * reach * step
        views.append(F.grid_sample(images, still + away, align_corners=False))
    return torch.stack(views).mean(dim=0) * _each(1, 1.6, images)


def _scatter(images: Tensor) -> Tensor:
    """Each pixel fetched from somewhere near, as through rippled glass."""
    still = _still(images)
    away = torch.randn_like(still) * _each(0.02, 0.12, images)
    scattered = F.grid_sample(images, still + away, align_corners=False)
    smooth = v2.functional.gaussian_blur(scattered, kernel_size=[3, 3], sigma=[0.7, 0.7])
    return torch.lerp(scattered, smooth, _each(0, 1, images))


def _noise(images: Tensor) -> Tensor:
    return images + _each(0.05, 0.4, images) * torch.randn_like(images)


def _specks(images: Tensor) -> Tensor:
    hit = torch.rand_like(images) < _each(0.02, 0.3, images)
    return torch.where(hit, torch.rand_like(images).round(), images)


def _invert(images: Tensor) -> Tensor:
    return 1 - images


def _exposure(images: Tensor) -> Tensor:
    """Less contrast on a lighter ground."""
    low = _each(0, 0.6, images)
    return low + images * (1 - low) * _each(0.4, 1, images)


def _clouds(images: Tensor) -> Tensor:
    """A smooth uneven ground, as fog, shadow or stained paper."""
    knots = int(torch.randint(3, 8, ()))
    weights = knot_weights(images.shape[-1], knots).to(images)
    heights = torch.rand(len(images), 1, knots, knots, device=images.device)
    ground = torch.einsum("hi,ncij,wj->nchw", weights, heights, weights)
    return torch.lerp(images, ground, _each(0.1, 0.6, images))


def _strokes(images: Tensor) -> Tensor:
    """A line across the digit, straight or wavy, in ink or in paper, whole or dashed."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side, device=images.device)
    angle = _each(0, math.pi, images)
    along = angle.cos() * axis.view(1, 1, 1, side) + angle.sin() * axis.view(1, 1, side, 1)
    across = angle.cos() * axis.view(1, 1, side, 1) - angle.sin() * axis.view(1, 1, 1, side)
    wave = _each(-0.3, 0.3, images) * (along * _each(2, 12, images) + _each(0, 6, images)).sin()
    line = (across - wave - _each(-0.6, 0.6, images)).abs() < _each(0.03, 0.12, images)
    dashes = (along * _each(5, 20, images)).sin() > _each(-2, 0.3, images)
    return torch.where(line & dashes, _each(0, 1, images).round(), images)


def _patch(images: Tensor) -> Tensor:
    """A rectangle in which the image turns to black, white, or its own negative."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side, device=images.device)
    wide = (axis.view(1, 1, 1, side) - _each(-0.8, 0.8, images)).abs() < _each(0.1, 0.5, images)
    high = (axis.view(1, 1, side, 1) - _each(-0.8, 0.8, images)).abs() < _each(0.1, 0.5, images)
    return torch.where(wide & high, _filling(images), images)


def _margins(images: Tensor) -> Tensor:
    """The same outside a band across the image, as when a photograph shows more than the paper."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side, device=images.device)
    across = torch.where(_each(0, 1, images) < 0.5, axis.view(1, 1, 1, side), axis.view(1, 1, side, 1))
    outside = (across - _each(-0.15, 0.15, images)).abs() > _each(0.5, 0.95, images)
    return torch.where(outside, _filling(images), images)


def _filling(images: Tensor) -> Tensor:
    return torch.where(_each(0, 1, images) < 0.5, 1 - images, _each(0, 1, images).round())


def _edges(images: Tensor) -> Tensor:
    """Only the outline of each stroke."""
    outline = F.max_pool2d(images, 3, stride=1, padding=1) + F.max_pool2d(-images, 3, stride=1, padding=1)
    return outline * _each(0.7, 1.2, images)


DEFECTS: tuple[Callable[[Tensor], Tensor], ...] = (
    _thick,
    _thin,
    _blur,
    _smear,
    _scatter,
    _noise,
    _specks,
    _invert,
    _exposure,
    _clouds,
    _strokes,
    _patch,
    _margins,
    _edges,
)
