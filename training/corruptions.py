"""A corruption suite for digits: twenty kinds, three strengths each, to measure robustness, never to train.

Fifteen kinds carry the names of MNIST-C (Mu and Gilmer, 2019, "MNIST-C: A Robustness Benchmark for Computer
Vision") and follow its idea of each; the code and the strengths are this project's own, so the numbers
compare only with themselves. The other five are what people and cameras do to drawn digits: thin and thick
pens, paper in place of a blackboard, blur and sensor noise.

Each function takes images float32 (N, 1, 28, 28) in 0..1, one of its three settings and a generator, and
returns images of the same shape, which `corrupt` clamps to 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

STRENGTHS = 3


def corrupt(kind: str, strength: int, images: Tensor, *, chunk: int = 1000) -> Tensor:
    """Images (N, 1, 28, 28) in 0..1, spoiled in one of `KINDS` with strength 0, 1 or 2; always the same."""
    function, settings = KINDS[kind]
    generator = Generator().manual_seed(1000 * list(KINDS).index(kind) + strength)
    parts = [function(part, settings[strength], generator) for part in torch.split(images, chunk)]
    return torch.cat(parts).clamp(0, 1)


def _number(images: Tensor, generator: Generator, low: float = -1, high: float = 1) -> Tensor:
    """One number per image, shaped (N, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, generator=generator) * (high - low) + low


def _sign(images: Tensor, generator: Generator) -> Tensor:
    return torch.where(_number(images, generator) < 0, -1.0, 1.0)


def _plane(images: Tensor) -> tuple[Tensor, Tensor]:
    """The x and y of each pixel, from -1 to 1, shaped (1, 1, 1, W) and (1, 1, H, 1)."""
    height, width = images.shape[-2:]
    return torch.linspace(-1, 1, width).view(1, 1, 1, -1), torch.linspace(-1, 1, height).view(1, 1, -1, 1)


def _turned(images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a line of random direction, each (N, 1, H, W)."""
    x, y = _plane(images)
    angle = _number(images, generator, 0, math.pi)
    return angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x


def _gaussian(images: Tensor, sigma: float) -> Tensor:
    reach = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(images, kernel.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1), padding=(reach, 0))


def _resample(images: Tensor, rows: list[list[Tensor]]) -> Tensor:
    """Each image seen through its own 2 x 3 matrix, whose six entries broadcast against (N, 1, 1, 1)."""
    zero = torch.zeros(len(images), 1, 1, 1)
    matrix = torch.stack(
        [torch.stack([(zero + entry).flatten() for entry in row], dim=1) for row in rows], dim=1
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _shot_noise(images: Tensor, photons: float, generator: Generator) -> Tensor:
    return torch.poisson(images * photons, generator=generator) / photons


def _impulse_noise(images: Tensor, fraction: float, generator: Generator) -> Tensor:
    chance = torch.rand(images.shape, generator=generator)
    return torch.where(chance < fraction / 2, 0.0, torch.where(chance > 1 - fraction / 2, 1.0, images))


def _gaussian_noise(images: Tensor, sd: float, generator: Generator) -> Tensor:
    return images + sd * torch.randn(images.shape, generator=generator)


def _gaussian_blur(images: Tensor, sigma: float, _: Generator) -> Tensor:
    return _gaussian(images, sigma)


def _glass_blur(images: Tensor, setting: tuple[float, int], generator: Generator) -> Tensor:
    """Each pixel is fetched from a random neighbour, between two light blurs."""
    sigma, reach = setting
    n, _, height, width = images.shape
    jump = torch.randint(-reach, reach + 1, (2, n, height, width), generator=generator)
    y = (torch.arange(height).view(-1, 1) + jump[0]).clamp(0, height - 1)
    x = (torch.arange(width) + jump[1]).clamp(0, width - 1)
    shuffled = _gaussian(images, sigma).flatten(1).gather(1, (y * width + x).flatten(1)).view_as(images)
    return _gaussian(shuffled, sigma)


def _motion_blur(images: Tensor, pixels: float, generator: Generator) -> Tensor:
    """The mean of nine views along a short way in a random direction."""
    angle = _number(images, generator, 0, 2 * math.pi)
    one, zero = torch.ones(1), torch.zeros(1)
    total = torch.zeros_like(images)
    for step in torch.linspace(-0.5, 0.5, 9):
        away = step * pixels * 2 / images.shape[-1]
        total += _resample(images, [[one, zero, away * angle.cos()], [zero, one, away * angle.sin()]])
    return total / 9


def _shear(images: Tensor, amount: float, generator: Generator) -> Tensor:
    one, zero = torch.ones(1), torch.zeros(1)
    return _resample(images, [[one, amount * _sign(images, generator), zero], [zero, one, zero]])


def _scale(images: Tensor, factor: float, generator: Generator) -> Tensor:
    """Smaller or larger by the factor, at random."""
    size, zero = factor ** _sign(images, generator), torch.zeros(1)
    return _resample(images, [[size, zero, zero], [zero, size, zero]])


def _rotate(images: Tensor, degrees: float, generator: Generator) -> Tensor:
    angle, zero = math.radians(degrees) * _sign(images, generator), torch.zeros(1)
    return _resample(images, [[angle.cos(), -angle.sin(), zero], [angle.sin(), angle.cos(), zero]])


def _translate(images: Tensor, pixels: float, generator: Generator) -> Tensor:
    angle = _number(images, generator, 0, 2 * math.pi)
    away = pixels * 2 / images.shape[-1]
    one, zero = torch.ones(1), torch.zeros(1)
    return _resample(images, [[one, zero, away * angle.cos()], [zero, one, away * angle.sin()]])


def _brightness(images: Tensor, light: float, _: Generator) -> Tensor:
    return images + light


def _stripe(images: Tensor, pixels: int, _: Generator) -> Tensor:
    """The negative of the image in a band at either side."""
    spoiled = 1 - images
    spoiled[..., pixels:-pixels] = images[..., pixels:-pixels]
    return spoiled


def _fog(images: Tensor, amount: float, generator: Generator) -> Tensor:
    """Clouds, whose amplitude falls with frequency as 1/f."""
    height, width = images.shape[-2:]
    frequency = (torch.fft.fftfreq(height).view(-1, 1) ** 2 + torch.fft.rfftfreq(width) ** 2).sqrt()
    frequency[0, 0] = 1
    noise = torch.randn(images.shape, generator=generator)
    clouds: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency**1.5, s=(height, width))
    low, high = clouds.amin(dim=(2, 3), keepdim=True), clouds.amax(dim=(2, 3), keepdim=True)
    return (images + amount * (clouds - low) / (high - low)) / (1 + amount / 2)


def _spatter(images: Tensor, fraction: float, generator: Generator) -> Tensor:
    """Drops of ink: the highest places of a smooth random field."""
    field = _gaussian(torch.randn(images.shape, generator=generator), 1.0)
    limit = field.flatten(1).quantile(1 - fraction, dim=1).view(-1, 1, 1, 1)
    drops = ((field - limit) / field.std(dim=(2, 3), keepdim=True) * 4).clamp(0, 1)
    return torch.maximum(images, drops)


def _dotted_line(images: Tensor, lines: int, generator: Generator) -> Tensor:
    for _ in range(lines):
        along, across = _turned(images, generator)
        near = (across - _number(images, generator, -0.6, 0.6)).abs() < 0.05
        images = torch.where(near & ((along * 12).sin() > 0), 1.0, images)
    return images


def _zigzag(images: Tensor, width: float, generator: Generator) -> Tensor:
    along, across = _turned(images, generator)
    wave = 0.25 * (2 / math.pi) * torch.asin((along * 8).sin())
    near = (across - wave - _number(images, generator, -0.5, 0.5)).abs() < width / 2
    return torch.where(near, 1.0, images)


def _canny_edges(images: Tensor, setting: tuple[float, float], _: Generator) -> Tensor:
    """Thin white outlines: gradients above a limit that are the greatest across their edge."""
    sigma, limit = setting
    smooth = F.pad(_gaussian(images, sigma), (1, 1, 1, 1))
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).view(1, 1, 3, 3) / 4
    dx, dy = F.conv2d(smooth, across), F.conv2d(smooth, across.transpose(2, 3))
    size = (dx**2 + dy**2).sqrt()
    around = F.pad(size, (1, 1, 1, 1))
    # The direction of the gradient, rounded to one of four: right, right and down, down, left and down.
    sector = (torch.atan2(dy, dx) / (math.pi / 4)).round().long() % 4
    edge = torch.zeros_like(size, dtype=torch.bool)
    for index, (x, y) in enumerate(((1, 0), (1, 1), (0, 1), (-1, 1))):
        ahead = around[..., 1 + y : 29 + y, 1 + x : 29 + x]
        behind = around[..., 1 - y : 29 - y, 1 - x : 29 - x]
        edge |= (sector == index) & (size >= ahead) & (size > behind)
    return (edge & (size > limit)).float()


def _pen(images: Tensor, reach: int, *, grow: bool) -> Tensor:
    """Dilate or erode by half of `reach` - 1 pixels of an image of twice the size."""
    large = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    sign = 1 if grow else -1
    left, right = reach // 2, (reach - 1) // 2
    padded = F.pad(sign * large, (left, right, left, right), value=0 if grow else -1)
    moved = sign * F.max_pool2d(F.max_pool2d(padded, (1, reach), stride=1), (reach, 1), stride=1)
    return F.avg_pool2d(moved, 2)


def _thin(images: Tensor, reach: int, _: Generator) -> Tensor:
    return _pen(images, reach, grow=False)


def _thick(images: Tensor, reach: int, _: Generator) -> Tensor:
    return _pen(images, reach, grow=True)


def _inverted(images: Tensor, contrast: float, _: Generator) -> Tensor:
    return 1 - contrast * images


KINDS: dict[str, tuple[Callable[[Tensor, Any, Generator], Tensor], tuple[Any, Any, Any]]] = {
    "shot_noise": (_shot_noise, (20, 8, 4)),
    "impulse_noise": (_impulse_noise, (0.05, 0.12, 0.2)),
    "glass_blur": (_glass_blur, ((0.5, 1), (0.7, 1), (0.7, 2))),
    "motion_blur": (_motion_blur, (3, 5, 7)),
    "shear": (_shear, (0.15, 0.3, 0.45)),
    "scale": (_scale, (1.15, 1.3, 1.45)),
    "rotate": (_rotate, (10, 20, 30)),
    "brightness": (_brightness, (0.2, 0.4, 0.6)),
    "translate": (_translate, (2, 3, 4)),
    "stripe": (_stripe, (3, 5, 7)),
    "fog": (_fog, (0.5, 1, 1.5)),
    "spatter": (_spatter, (0.05, 0.1, 0.15)),
    "dotted_line": (_dotted_line, (1, 2, 3)),
    "zigzag": (_zigzag, (0.08, 0.12, 0.18)),
    "canny_edges": (_canny_edges, ((0.7, 0.15), (1.0, 0.15), (1.3, 0.1))),
    "thin": (_thin, (2, 3, 4)),
    "thick": (_thick, (3, 4, 5)),
    "inverted": (_inverted, (1, 0.75, 0.5)),
    "gaussian_blur": (_gaussian_blur, (0.6, 1.0, 1.4)),
    "gaussian_noise": (_gaussian_noise, (0.1, 0.2, 0.3)),
}
