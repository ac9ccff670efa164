"""The command line of `python -m training`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from training.recipe import Recipe

VIEWS = 20


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the rest of the command does."""

    def error(self, message: str) -> NoReturn:
        """End with status 2, argparse's own."""
        self.exit(2, f"training: {message}; --help explains every option\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options; the defaults of the recipe are those of `Recipe`.

    Ends the program with one line if they make no sense, alone or together.
    """
    recipe = Recipe()
    parser = Parser(
        prog="python -m training",
        description="Train a digit classifier on MNIST and export the weights file that the service reads.",
    )

    def add(name: str, default: object, kind: Callable[[str], object], metavar: str, text: str) -> None:
        full = text if default is None else f"{text} (default: {default})"
        parser.add_argument(name, default=default, type=kind, metavar=metavar, help=full)

    add(
        "--data",
        None,
        Path,
        "DIR",
        "folder with MNIST's four files, .gz or not, or MNIST/raw; without it, a download fills data/",
    )
    add("--out", Path("runs/latest"), Path, "DIR", "folder for the results")
    add("--validation", 5000, natural, "N", "training images held out for validation")
    add("--temperature", None, positive, "T", "divide logits by this; without it, fitted on validation, or 1")
    add("--seed", recipe.seed, natural, "N", "of everything random")
    add("--epochs", recipe.epochs, count, "N", "passes over the training images")
    add("--batch-size", recipe.batch_size, count, "N", "images per step")
    add("--lr", recipe.lr, positive, "X", "highest learning rate of the one-cycle schedule")
    add("--weight-decay", recipe.weight_decay, fraction, "X", "of AdamW")
    smoothing = "fraction of each label spread over all digits"
    add("--label-smoothing", recipe.label_smoothing, fraction, "X", smoothing)
    add("--ema-decay", recipe.ema_decay, fraction, "X", "of the exponential moving average of the weights")
    add("--defects", recipe.defects, fraction, "X", "fraction of images spoiled by noise, blur and the like")
    add("--warp", recipe.warp, positive, "X", "strength of rotation, scaling, shift and bending")
    coarse = "fraction of images seen through a coarse grid, as small pictures are"
    add("--low-resolution", recipe.low_resolution, fraction, "X", coarse)
    more = "digits of other forms and pens to train on, for each training image"
    add("--drawn", recipe.drawn, amount, "X", more)
    others = "images of no digit to train on, for each training image; with 0, outliers are not told"
    add("--negatives", recipe.negatives, amount, "X", others)
    rate = "of held-out digits that may count as outliers"
    add("--outlier-rate", 0.0025, fraction, "X", rate)
    add("--students", 1, count, "N", "networks to train, with seeds from --seed on; the first is exported")
    add("--teachers", 0, natural, "N", "wider networks to train first and to learn from")
    add("--teacher-epochs", None, count, "N", "their passes over the images; without it, as --epochs")
    add("--views", None, count, "N", f"augmented views of each image that they label; without it, {VIEWS}")
    weight = "of the teachers' soft labels in the loss; the labels have the rest"
    add("--distillation-weight", recipe.distillation_weight, fraction, "X", weight)
    softening = "of the softmax in soft labels and in their loss"
    add("--distillation-temperature", recipe.distillation_temperature, positive, "T", softening)
    add("--publish", None, Path, "FILE", "weights file to replace by the new one, if that is good enough:")
    add("--min-accuracy", None, fraction, "X", "the least test accuracy to publish; without it, any")
    add("--max-drop", None, fraction, "X", "how far it may be below that of FILE; without it, any")
    add("--device", "cpu", str, "NAME", "cpu, cuda or cuda:N")
    add("--threads", None, count, "N", "CPU threads; without it, one per core that this process may use")
    flag = parser.add_argument
    flag("--bfloat16", action="store_true", help="compute the networks in bfloat16, where the processor can")
    flag("--resume", action="store_true", help="go on from the last finished epoch in the folder of --out")
    flag("--force", action="store_true", help="replace the run that is in the folder of --out")
    flag("--tensorboard", action="store_true", help="write events for TensorBoard, if it is installed")
    skip = "leave out the accuracy on corrupted images, which takes minutes to measure"
    flag("--no-corruptions", dest="corruptions", action="store_false", help=skip)
    flag("--any-data", action="store_true", help="accept images and labels that are not the original MNIST")
    flag("--dry-run", action="store_true", help="one epoch of five steps, to see that everything works")
    options = parser.parse_args(arguments)
    _fill_in_defaults(options, parser)
    return options


def _fill_in_defaults(options: argparse.Namespace, parser: Parser) -> None:
    """Fill in what follows from other options, and refuse what contradicts itself."""
    if options.resume and options.force:
        parser.error("--resume goes on with the run in --out and --force replaces it; give one of them")
    for name in ("min_accuracy", "max_drop"):
        if not options.publish and getattr(options, name) is not None:
            flag = name.replace("_", "-")
            parser.error(f"--{flag} is about what is published; add --publish FILE or leave out --{flag}")
    options.min_accuracy = options.min_accuracy or 0.0
    options.max_drop = 1.0 if options.max_drop is None else options.max_drop
    for name in ("views", "teacher_epochs"):
        if not options.teachers and getattr(options, name) is not None:
            flag = name.replace("_", "-")
            parser.error(f"--{flag} is about teachers; add --teachers N or leave out --{flag}")
    if options.dry_run:
        options.epochs = 1
        options.teacher_epochs = options.views = 1 if options.teachers else None
    options.views = (options.views or VIEWS) if options.teachers else 0
    options.teacher_epochs = (options.teacher_epochs or options.epochs) if options.teachers else 0


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


def amount(text: str) -> float:
    """A number of at least 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
