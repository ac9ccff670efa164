"""Augmentation on whole batches, each image with its own random parameters.

`v2.RandomAffine` draws one set of parameters per call, so a batch would move as one. The transforms here are
`v2.Transform` subclasses that draw one set per image and then move all images with a single `grid_sample`.
All randomness comes from torch's global generator, so one seed repeats a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2


def uniform(low: float, high: float, *size: int, like: Tensor) -> Tensor:
    """Numbers drawn evenly from [low, high), of shape `size`, on the device of `like`."""
    return torch.rand(size, device=like.device) * (high - low) + low


class RandomWarp(v2.Transform):  # type: ignore[misc]  # torchvision ships no types
    """Rotate, scale, shear and shift each image, then bend it a little as elastic paper would.

    Images are float32 (N, 1, H, W). What comes in from outside is black.

    Args:
        degrees: largest rotation, either way.
        scale: largest relative change of size, drawn apart for width and height.
        shear: largest slant, as a share of the height.
        translate: largest shift, as a share of the side.
        elastic: standard deviation of the bending, as a share of half the side.
        knots: control points of the bending, per side.
    """

    def __init__(
        self,
        *,
        degrees: float = 15.0,
        scale: float = 0.15,
        shear: float = 0.25,
        translate: float = 0.1,
        elastic: float = 0.05,
        knots: int = 5,
    ) -> None:
        super().__init__()
        self.degrees = degrees
        self.scale = scale
        self.shear = shear
        self.translate = translate
        self.elastic = elastic
        self.knots = knots

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw, for each image, a 2 x 3 matrix and a grid of displacements."""
        images = flat_inputs[0]
        n = len(images)
        angle = uniform(-self.degrees, self.degrees, n, like=images) * (math.pi / 180)
        width = torch.exp(uniform(-self.scale, self.scale, n, like=images))
        height = torch.exp(uniform(-self.scale, self.scale, n, like=images))
        slant = uniform(-self.shear, self.shear, n, like=images)
        # grid_sample counts the whole side as 2, from -1 to 1.
        shift = 2 * uniform(-self.translate, self.translate, n, 2, like=images)
        cos, sin = angle.cos(), angle.sin()
        rows = [cos * width, (cos * slant - sin) * height, sin * width, (sin * slant + cos) * height]
        matrix = torch.stack(rows, dim=1).view(n, 2, 2)
        bend = self.elastic * torch.randn(n, 2, self.knots, self.knots, device=images.device)
        return {"matrix": torch.cat([matrix, shift.unsqueeze(2)], dim=2), "bend": bend}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Warp (N, 1, H, W) images with the parameters drawn for them."""
        height, width = inpt.shape[-2:]
        grid = F.affine_grid(params["matrix"], list(inpt.shape), align_corners=False)
        rows = knot_weights(height, self.knots).to(inpt)
        columns = knot_weights(width, self.knots).to(inpt)
        grid = grid + torch.einsum("hi,ncij,wj->nhwc", rows, params["bend"], columns)
        return F.grid_sample(inpt, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def knot_weights(size: int, knots: int) -> Tensor:
    """How much each of `knots` even control points counts at each of `size` pixels; rows sum to 1."""
    pixels = (torch.arange(size) + 0.5) / size
    centres = (torch.arange(knots) + 0.5) / knots
    bumps = torch.exp(-0.5 * ((pixels[:, None] - centres) * knots / 0.7) ** 2)
    return bumps / bumps.sum(dim=1, keepdim=True)


class RandomDefects(v2.Transform):  # type: ignore[misc]
    """Spoil a share of the images, each in one way, as real drawings and cameras do.

    Images are float32 (N, 1, H, W) in 0..1 and stay in it. The families are broad on purpose: the corruption
    suite that measures robustness (`corruptions.py`) is made by other code with other parameters.
    """

    def __init__(self, share: float = 0.3) -> None:
        super().__init__()
        self.share = share

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Choose a defect for each image; the index past the last defect means none."""
        n = len(flat_inputs[0])
        kind = torch.randint(len(DEFECTS), (n,))
        kind[torch.rand(n) >= self.share] = len(DEFECTS)
        return {"kind": kind}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Return a copy of the (N, 1, H, W) images in which the chosen ones are spoiled."""
        images = inpt.clone()
        for index, defect in enumerate(DEFECTS):
            chosen = (params["kind"] == index).nonzero().squeeze(1).to(inpt.device)
            if len(chosen):
                images[chosen] = defect(images[chosen]).clamp(0, 1)
        return images


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
    """A straight line across the digit, in ink or in paper, whole or dashed."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side, device=images.device)
    angle = _each(0, math.pi, images)
    along = angle.cos() * axis.view(1, 1, 1, side) + angle.sin() * axis.view(1, 1, side, 1)
    across = angle.cos() * axis.view(1, 1, side, 1) - angle.sin() * axis.view(1, 1, 1, side)
    line = (across - _each(-0.6, 0.6, images)).abs() < _each(0.03, 0.12, images)
    dashes = (along * _each(5, 20, images)).sin() > _each(-2, 0.3, images)
    return torch.where(line & dashes, _each(0, 1, images).round(), images)


def _patch(images: Tensor) -> Tensor:
    """A rectangle in which the image turns to black, white, or its own negative."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side, device=images.device)
    wide = (axis.view(1, 1, 1, side) - _each(-0.8, 0.8, images)).abs() < _each(0.1, 0.5, images)
    high = (axis.view(1, 1, side, 1) - _each(-0.8, 0.8, images)).abs() < _each(0.1, 0.5, images)
    filling = torch.where(_each(0, 1, images) < 0.5, 1 - images, _each(0, 1, images).round())
    return torch.where(wide & high, filling, images)


def _edges(images: Tensor) -> Tensor:
    """Only the outline of each stroke."""
    outline = F.max_pool2d(images, 3, stride=1, padding=1) + F.max_pool2d(-images, 3, stride=1, padding=1)
    return outline * _each(0.7, 1.2, images)


DEFECTS: tuple[Callable[[Tensor], Tensor], ...] = (
    _thick,
    _thin,
    _blur,
    _noise,
    _specks,
    _invert,
    _exposure,
    _clouds,
    _strokes,
    _patch,
    _edges,
)


def augmentation(*, defects: float, warp: float = 1.0) -> v2.Transform:
    """The pipeline for training: (N, 1, H, W) float32 in 0..1 to the same.

    Args:
        defects: share of the images that `RandomDefects` spoils.
        warp: strength of `RandomWarp`; 1 is its default ranges.
    """
    bend = RandomWarp(
        degrees=15 * warp, scale=0.15 * warp, shear=0.25 * warp, translate=0.1 * warp, elastic=0.05 * warp
    )
    return v2.Compose([bend, RandomDefects(defects)])
