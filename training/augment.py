"""Augmentation on whole batches, each image with its own random parameters.

`v2.RandomAffine` draws one set of parameters per call, so a batch would move as one. The transforms here are
`v2.Transform` subclasses that draw one set per image and then move all images with a single `grid_sample`.
All randomness comes from torch's global generator, so one seed repeats a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from training.data import Batch, Digits
from training.defects import RandomDefects, knot_weights, uniform
from training.recipe import Recipe


class RandomWarp(v2.Transform):  # type: ignore[misc]  # torchvision ships no types
    """Rotate, scale, shear and shift each image, then bend it a little as elastic paper would.

    Images are float32 (N, 1, H, W). What comes in from outside is black.

    Args:
        degrees: largest rotation, either way.
        scale: largest relative change of size, drawn apart for width and height.
        shear: largest slant, as a fraction of the height.
        translate: largest shift, as a fraction of the side.
        elastic: standard deviation of the bending, as a fraction of half the side.
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


class RandomResolution(v2.Transform):  # type: ignore[misc]
    """Show a fraction of the images as small pictures are that were enlarged.

    The strokes of half of them are widened, as in a small picture a pen of one pixel is a wide one. All are
    averaged over the cells of a coarse grid, in 17 levels, and enlarged again in one of three ways.
    Images are float32 (N, 1, H, W) in 0..1 and stay in it; grid and way are the same for the whole batch.
    """

    WAYS = ("bicubic", "bilinear", "nearest")

    def __init__(self, fraction: float, *, cells: tuple[int, int] = (9, 15)) -> None:
        super().__init__()
        self.fraction = fraction
        self.cells = cells

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Choose the images, rows and columns of the grid, and the way back."""
        chosen = (torch.rand(len(flat_inputs[0])) < self.fraction).nonzero().squeeze(1)
        cells = [int(torch.randint(*self.cells, ())) for _ in range(2)]
        return {
            "chosen": chosen,
            "wider": uniform(-1, 1, len(chosen), 1, 1, 1, like=flat_inputs[0]).clamp(min=0),
            "cells": cells,
            "way": self.WAYS[int(torch.randint(len(self.WAYS), ()))],
        }

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Return a copy of the images in which the chosen ones are coarse."""
        chosen = params["chosen"].to(inpt.device)
        if not len(chosen):
            return inpt
        images = inpt.clone()
        wide = torch.lerp(inpt[chosen], F.max_pool2d(inpt[chosen], 3, stride=1, padding=1), params["wider"])
        cells = (F.interpolate(wide, size=params["cells"], mode="area") * 16).round() / 16
        # What reads pictures takes the darkest ink for full ink.
        cells = cells / cells.amax(dim=(2, 3), keepdim=True).clamp(min=0.2)
        smooth = {} if params["way"] == "nearest" else {"align_corners": False}
        enlarged = F.interpolate(cells.clamp(max=1), size=inpt.shape[-2:], mode=params["way"], **smooth)
        images[chosen] = enlarged.clamp(0, 1)
        return images


def augmentation(*, defects: float, warp: float = 1.0, low_resolution: float = 0.0) -> v2.Transform:
    """The pipeline for training: (N, 1, H, W) float32 in 0..1 to the same.

    Args:
        defects: fraction of the images that `RandomDefects` spoils.
        warp: strength of `RandomWarp`; 1 is its default ranges.
        low_resolution: fraction of the images that `RandomResolution` shows through a coarse grid.
    """
    bend = RandomWarp(
        degrees=15 * warp, scale=0.15 * warp, shear=0.25 * warp, translate=0.1 * warp, elastic=0.05 * warp
    )
    return v2.Compose([bend, RandomResolution(low_resolution), RandomDefects(defects)])


def recipe_augmentation(recipe: Recipe) -> v2.Transform:
    """The pipeline that a recipe asks for."""
    return augmentation(defects=recipe.defects, warp=recipe.warp, low_resolution=recipe.low_resolution)


class AugmentedBatches:
    """Images that look new each time, with their labels alone."""

    def __init__(self, digits: Digits, recipe: Recipe, *, device: torch.device) -> None:
        self.images = digits.images.to(device)
        self.labels = digits.labels.to(device)
        self.augment = recipe_augmentation(recipe)
        self.image_count = len(digits)

    def epoch(self, number: int, indices: Iterable[Tensor]) -> Iterator[Batch]:  # noqa: ARG002
        """Augment each batch with random numbers from torch's global generator."""
        for chosen in indices:
            chosen = chosen.to(self.images.device)
            yield Batch(self.augment(self.images[chosen].float() / 255), self.labels[chosen], None)
