"""The command line of `python -m training`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from training.train import Recipe


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options; the defaults of the recipe are those of `Recipe`."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train a digit classifier on MNIST and export the weights file that the service reads.",
    )

    def add(name: str, default: object, kind: Callable[[str], object], metavar: str, text: str) -> None:
        told = text if default is None else f"{text} (default: {default})"
        parser.add_argument(name, default=default, type=kind, metavar=metavar, help=told)

    add("--data", None, Path, "DIR", "folder that holds MNIST/raw; without it, a download fills data/")
    add("--out", Path("runs/latest"), Path, "DIR", "folder for the results")
    add("--validation", 5000, natural, "N", "training images held out to choose by")
    add("--temperature", None, positive, "T", "divide logits by this; without it, fitted on validation, or 1")
    add("--seed", recipe.seed, natural, "N", "of everything random")
    add("--epochs", recipe.epochs, count, "N", "passes over the training images")
    add("--batch-size", recipe.batch_size, count, "N", "images per step")
    add("--lr", recipe.lr, positive, "X", "highest learning rate of the one-cycle schedule")
    add("--weight-decay", recipe.weight_decay, share, "X", "of AdamW")
    add("--label-smoothing", recipe.label_smoothing, share, "X", "share of each label spread over all digits")
    add("--average", recipe.average, share, "X", "decay of the running average of the weights")
    add("--defects", recipe.defects, share, "X", "share of images spoiled by noise, blur and the like")
    add("--warp", recipe.warp, positive, "X", "strength of rotation, scaling, shift and bending")
    add("--teachers", 0, natural, "N", "larger networks to train first and to learn from")
    add("--distillation", recipe.distillation, share, "X", "share of the loss that follows the teachers")
    add("--softness", recipe.softness, positive, "X", "temperature of that comparison")
    add("--device", "cpu", str, "NAME", "cpu, cuda or cuda:N")
    add("--threads", None, count, "N", "CPU threads; without it, one per core that this process may use")
    flag = parser.add_argument
    flag("--bfloat16", action="store_true", help="compute the networks in bfloat16, where the processor can")
    flag("--resume", action="store_true", help="go on from the last finished epoch in the folder of --out")
    flag("--any-data", action="store_true", help="accept images and labels that are not the original MNIST")
    flag("--dry-run", action="store_true", help="one epoch of five steps, to see that everything works")
    return parser.parse_args(arguments)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
