"""Images of no digit, for a network to learn what it can't read.

Each kind is a function of the digits at hand, a count and a random generator; it returns images
(count, 1, 28, 28) uint8 in the form of MNIST, as far as they have one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.data import Digits
from training.pen import SIDE, Random, draw
from training.scribbles import scribble
from training.shapes import filled, heart, shape
from training.skeleton import redraw


def letters(_: Digits, count: int, rng: Random) -> Tensor:
    """Printed letters and signs."""
    return glyphs.printed(*glyphs.choose(_shown(glyphs.LETTERS * 3 + glyphs.SIGNS), glyphs.FONTS, count, rng))


def rare_signs(_: Digits, count: int, rng: Random) -> Tensor:
    """Other alphabets' letters, arrows, suits of cards and the like."""
    return glyphs.printed(*glyphs.choose(glyphs.RARE_SIGNS, glyphs.RARE_FONTS, count, rng))


def written_letters(_: Digits, count: int, rng: Random) -> Tensor:
    """The same letters and signs, but drawn with a pen."""
    some = letters(_, count - count // 4, rng), rare_signs(_, count // 4, rng)
    return redraw(torch.cat(some).float() / 255, rng)


def other_written_letters(digits: Digits, count: int, rng: Random) -> Tensor:
    """Letters of other fonts, drawn with a pen; to measure with."""
    return redraw(other_letters(digits, count, rng).float() / 255, rng)


def other_letters(_: Digits, count: int, rng: Random) -> Tensor:
    """Printed letters and signs in other fonts; to measure with."""
    return glyphs.printed(*glyphs.choose(glyphs.LETTERS, glyphs.OTHER_FONTS, count, rng))


def unseen_letters(_: Digits, count: int, rng: Random) -> Tensor:
    """Printed letters and signs that training never shows; to measure with."""
    return glyphs.printed(*glyphs.choose(glyphs.OTHER_SIGNS, glyphs.FONTS + glyphs.OTHER_FONTS, count, rng))


def _shown(characters: str) -> str:
    return "".join(each for each in characters if each not in glyphs.OTHER_SIGNS)


def scribbles(_: Digits, count: int, rng: Random) -> Tensor:
    """What a pen leaves that goes nowhere: zigzags, tangles, coils, hatching, several strokes."""
    return draw([scribble(rng) for _ in range(count)], rng)


def shapes(_: Digits, count: int, rng: Random) -> Tensor:
    """Outlines of hearts, stars, polygons, crosses, arrows, faces, houses, waves, flowers and more."""
    return draw([shape(rng) for _ in range(count)], rng)


def filled_shapes(_: Digits, count: int, rng: Random) -> Tensor:
    """Hearts, stars, polygons, discs and bars that are not as slim as a 1, full of ink."""
    return torch.from_numpy(np.stack([filled(rng) for _ in range(count)])).unsqueeze(1)


def dots(_: Digits, count: int, rng: Random) -> Tensor:
    """Discs of any size, in the middle or anywhere, alone or a few."""
    y, x = np.mgrid[:SIDE, :SIDE]
    images = np.zeros((count, SIDE, SIDE))
    for index in range(count):
        many = 1 if rng.random() < 0.75 else int(rng.integers(2, 6))
        radius = 10.0 if rng.random() < 0.3 else np.exp(rng.uniform(-0.7, 2.4))
        for _number in range(many):
            middle = rng.normal(13.5, 1 if many == 1 else 6, 2)
            flat = np.exp(rng.normal(0, 0.15))
            away = np.hypot((x - middle[0]) * flat, (y - middle[1]) / flat)
            images[index] = np.maximum(images[index], np.clip(radius + 0.5 - away, 0, 1))
    return torch.from_numpy(np.rint(255 * images).astype(np.uint8)).unsqueeze(1)


def side_by_side(digits: Digits, count: int, rng: Random) -> Tensor:
    """Two or three digits in one image."""
    images = digits.images.numpy()
    joined = np.zeros((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        many = 3 if rng.random() < 0.15 else 2
        chosen = [_cropped(images[number, 0]) for number in rng.integers(len(images), size=many)]
        picture, at = np.zeros((40, 90), np.uint8), 0
        for digit in chosen:
            top = int(rng.integers(8, 13))
            part = picture[top : top + digit.shape[0], at : at + digit.shape[1]]
            np.maximum(part, digit, out=part)
            at += digit.shape[1] + int(rng.integers(-2, 9))
            at = max(at, 3)
        joined[index] = glyphs.in_form(Image.fromarray(picture))
    return torch.from_numpy(joined).unsqueeze(1)


def _cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = image.max(axis=1) > 60, image.max(axis=0) > 60
    if not rows.any():
        return np.full((4, 4), 255, np.uint8)
    return image[
        rows.argmax() : len(rows) - rows[::-1].argmax(),
        columns.argmax() : len(columns) - columns[::-1].argmax(),
    ]


def overlaid(digits: Digits, count: int, rng: Random) -> Tensor:
    """One digit written over another one, of another value if there is any."""
    first, second = rng.integers(len(digits), size=(2, 2 * count + 50))
    labels = digits.labels.numpy()
    differ = np.flatnonzero(labels[first] != labels[second])
    chosen = np.resize(differ if len(differ) else np.arange(len(first)), count)
    shift = rng.integers(-3, 4, 2)
    moved = torch.roll(digits.images[second[chosen]], (int(shift[0]), int(shift[1])), (2, 3))
    return torch.maximum(digits.images[first[chosen]], moved)


def shuffled(digits: Digits, count: int, rng: Random) -> Tensor:
    """A digit cut into four or sixteen squares that have changed places."""
    images = digits.images[rng.integers(len(digits), size=count)]
    side = 14 if rng.random() < 0.5 else 7
    squares = F.unfold(images.float(), side, stride=side)
    order = np.argsort(rng.random((count, squares.shape[2])), axis=1)
    rolled = np.roll(np.arange(squares.shape[2]), 1)  # no square stays by luck
    order = np.where((order == np.arange(squares.shape[2])).sum(axis=1, keepdims=True) > 1, rolled, order)
    index = torch.from_numpy(order).unsqueeze(1).expand_as(squares)
    return F.fold(squares.gather(2, index), (SIDE, SIDE), side, stride=side).to(torch.uint8)


def noise(_: Digits, count: int, rng: Random) -> Tensor:
    """Noise of every grain, from pixels to clouds, soft or in black and white."""
    generator = _generator(rng)
    images = torch.zeros(count, 1, SIDE, SIDE)
    for index, part in enumerate(torch.tensor_split(torch.arange(count), 8)):
        if not len(part):
            continue
        side = (28, 28, 20, 14, 10, 7, 5, 4)[index]
        grains = torch.rand(len(part), 1, side, side, generator=generator)
        field = F.interpolate(grains, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        share = torch.rand(len(part), 1, 1, 1, generator=generator)
        hard = (field > 0.3 + 0.5 * share).float()
        power = field ** torch.exp(2 * torch.rand(len(part), 1, 1, 1, generator=generator))
        images[part] = torch.where(torch.rand(len(part), 1, 1, 1, generator=generator) < 0.5, hard, power)
    return (255 * images).round().to(torch.uint8)


def textures(_: Digits, count: int, rng: Random) -> Tensor:
    """Stripes, checks, rings, ramps."""
    generator = _generator(rng)

    def each(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low

    axis = torch.linspace(-1, 1, SIDE)
    x, y = axis.view(1, 1, 1, -1), axis.view(1, 1, -1, 1)
    angle = each(0, 6.3)
    along, across = angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x
    pitch = each(4, 25)
    stripes = (pitch * along + each(0, 6.3)).sin()
    checks = (pitch * along).sin() * (each(4, 25) * across + each(0, 6.3)).sin()
    rings = (pitch * ((x - each(-1, 1)) ** 2 + (y - each(-1, 1)) ** 2).sqrt()).sin()
    ramps = along * each(0.5, 2)
    kinds = torch.stack([field.expand(count, 1, SIDE, SIDE) for field in (stripes, checks, rings, ramps)])
    chosen = torch.randint(4, (count,), generator=generator)
    field = kinds[chosen, torch.arange(count)]
    field = torch.where(each(0, 1) < 0.5, (field > each(-0.5, 0.7)).float(), (field + 1) / 2)
    return (255 * field.clamp(0, 1)).round().to(torch.uint8)


def blank(_: Digits, count: int, rng: Random) -> Tensor:
    """Nothing but one level, black above all, with some dust at times, or a frame."""
    level = np.where(rng.random(count) < 0.5, 0, rng.integers(256, size=count))
    images = np.tile(level[:, None, None].astype(np.uint8), (1, SIDE, SIDE))
    for image in images:
        kind = rng.random()
        if kind < 0.25:
            for y, x in rng.integers(SIDE, size=(int(rng.integers(1, 6)), 2)):
                image[y, x] = rng.integers(256)
        elif kind < 0.4:
            wide, ink = int(rng.integers(1, 6)), int(rng.integers(256))
            image[:wide], image[-wide:], image[:, :wide], image[:, -wide:] = ink, ink, ink, ink
    return torch.from_numpy(images).unsqueeze(1)


def _generator(rng: Random) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def hearts(_: Digits, count: int, rng: Random) -> Tensor:
    """Outlines of hearts; to measure with."""
    return draw([[heart(rng)] for _ in range(count)], rng)


Kind = Callable[[Digits, int, Random], Tensor]
# Which kinds training shows, and how many of a hundred negatives are of each.
KINDS: dict[Kind, int] = {
    letters: 17,
    written_letters: 17,
    rare_signs: 5,
    scribbles: 20,
    shapes: 14,
    filled_shapes: 4,
    dots: 3,
    side_by_side: 8,
    overlaid: 3,
    shuffled: 2,
    noise: 3,
    textures: 3,
    blank: 1,
}


# What is measured: kinds that training never shows, and new ones of those that it does.
MEASURED: tuple[Kind, ...] = (
    other_letters,
    unseen_letters,
    other_written_letters,
    scribbles,
    shapes,
    filled_shapes,
    hearts,
    dots,
    side_by_side,
    noise,
    textures,
    blank,
)


def negatives(digits: Digits, count: int, rng: Random) -> Tensor:
    """Images of no digit, all kinds of them: (count, 1, 28, 28) uint8."""
    made, parts = 0, []
    shares = np.cumsum(list(KINDS.values())) / sum(KINDS.values())
    for kind, share in zip(KINDS, shares, strict=True):
        own = round(share * count) - made
        parts.append(kind(digits, own, rng))
        made += own
    return torch.cat(parts)
