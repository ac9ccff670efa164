"""What a network is shown: MNIST, digits of other forms and pens, and images of no digit."""

from __future__ import annotations

import numpy as np
import torch

from training import glyphs
from training.data import Digits
from training.handwriting import handwriting
from training.model import NO_DIGIT
from training.negatives import negatives
from training.progress import Progress
from training.recipe import Recipe
from training.skeleton import redraw

# The same images in every run, whatever the seed of the network.
SEED = 2718


def training_set(train: Digits, recipe: Recipe, *, progress: bool = True) -> Digits:
    """The training images, then as many others as the recipe asks for; those of no digit have that label."""
    rng = np.random.default_rng(SEED)
    drawn, none = round(recipe.drawn * len(train)), round(recipe.negatives * len(train))
    with Progress("drawn images", drawn + none, "images", shown=progress) as shows:
        parts = [train]
        if drawn:
            parts.append(other_digits(train, drawn, rng))
            shows.update(drawn)
        if none:
            images = negatives(train, none, rng)
            parts.append(Digits(images, torch.full((none,), NO_DIGIT)))
            shows.update(none)
    return Digits(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def other_digits(train: Digits, count: int, rng: np.random.Generator) -> Digits:
    """Digits of the training images with another pen, digits in other forms, and printed ones."""
    redrawn, written = count // 2, count // 3
    chosen = train.take(torch.from_numpy(rng.permutation(len(train))[:redrawn]))
    others = handwriting(written, rng)
    last = printed_digits(count - len(chosen) - written, rng)
    images = [redraw(chosen.pixels(), rng), others.images, last.images]
    return Digits(torch.cat(images), torch.cat([chosen.labels, others.labels, last.labels]))


def printed_digits(count: int, rng: np.random.Generator) -> Digits:
    """Digits in print, and half of them with a pen along their middle: a font alone tells no letter."""
    characters, fonts = glyphs.choose("0123456789", glyphs.FONTS, count, rng)
    images = glyphs.printed(characters, fonts)
    images[::2] = redraw(images[::2].float() / 255, rng)
    return Digits(images, torch.tensor([int(character) for character in characters]))
