"""Train a digit classifier and export the weights file that the service reads.

Download MNIST into data/, hold 5,000 images out for validation, and train on the rest:

    python -m training --out runs/first

Read MNIST that is there already, and train on all 60,000 images with the temperature of the first run:

    python -m training --data DIR --out runs/final --validation 0 --temperature 0.9

Train four wider networks first, and let them label 25 views of each image for the student:

    python -m training --data DIR --out runs/distilled --teachers 4 --views 25

Train with seeds 1 to 5, to see how far accuracy depends on the seed, and export the first in any case:

    python -m training --data DIR --out runs/five --students 5

Go on after an interruption; share the work between two processes (between machines: training/elastic.py); see
in a few steps that all works:

    python -m training --data DIR --out runs/first --resume
    torchrun --nproc-per-node=2 -m training --data DIR --out runs/first
    python -m training --data DIR --out runs/try --dry-run

Replace the weights file that is served, unless the new one is worse:

    python -m training --data DIR --out runs/new --publish served.pt --min-accuracy 0.99 --max-drop 0.001

The run folder holds the weights file, `metrics.json`, `model.json`, `MODEL_CARD.md`, pictures, and what
`--resume` needs. Choices are made on the validation images, always the same ones; the test images are looked
at once, when training is over.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from training import TrainingError, distributed
from training.data import Dataset, Digits, load_mnist, split
from training.distillation import Distillation, Student
from training.epoch_log import EpochLog
from training.evaluate import Result, evaluate, evaluate_corruptions, forward_microseconds
from training.export import FILE_NAME
from training.options import parse
from training.publish import check, publish
from training.recipe import Recipe
from training.results import RunFacts, write_pictures, write_results
from training.run_folder import prepare, saved_epochs
from training.summary import summary
from training.training_set import training_set

# The exit status of a program that SIGINT ended, as shells have it.
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and turn a TrainingError into one line and exit status 1."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    # Kubernetes stops a Job's pod with SIGTERM, which the first process of a container would ignore.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options)
    except TrainingError as error:
        print(f"training: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
    except KeyboardInterrupt as interrupt:
        if os.environ.get("RANK", "0") == "0":
            print(f"training: interrupted; {str(interrupt) or what_is_saved(options)}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def run(options: argparse.Namespace) -> None:
    """Data, training, calibration, evaluation and export, in this order."""
    # Torch counts the machine's cores; threads beyond those this process may use spin in each other's way.
    torch.set_num_threads(options.threads or distributed.cores())
    # cuBLAS needs this before its first call, or it refuses to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    with distributed.process_group(options.device) as device:
        prepare(options.out, resume=options.resume, force=options.force)
        log = EpochLog(options.out, tensorboard=options.tensorboard) if distributed.rank() == 0 else None
        data = read_data(options)
        train, validation = split(data.train, options.validation)
        if options.dry_run:
            train = train.take(slice(5 * options.batch_size))
        print_once(f"{len(train):,} training images, {len(validation):,} validation images")
        started = time.perf_counter()
        recipe = recipe_of(options)
        shown = training_set(train, recipe, progress=distributed.rank() == 0)
        distillation = Distillation(options.out, shown, validation, device, options.resume, log)
        students = distillation.train_students(recipe, options.students)
        seconds = time.perf_counter() - started
        facts = functools.partial(facts_of, options, data, len(train), device, seconds)
        # The others wait, so that they end as the first process does and can start again with it.
        distributed.from_first(lambda: finish(options, students, train, validation, data.test, facts))


def finish(
    options: argparse.Namespace,
    students: list[Student],
    train: Digits,
    validation: Digits,
    test: Digits,
    facts_with: Callable[[Result], RunFacts],
) -> None:
    """Calibrate and measure the students, write the run folder, and publish if that was asked for."""
    calibration = {"temperature": options.temperature, "outlier_rate": options.outlier_rate}
    results = evaluate(students, train, validation, test, **calibration)
    facts = facts_with(results[0])
    report = write_results(options.out, results, facts, test)
    write_pictures(options.out, results[0], test)
    floor = {"min_accuracy": options.min_accuracy, "max_drop": options.max_drop}
    if options.publish:
        check(options.out / FILE_NAME, options.publish, **floor)  # before the minutes that follow
    if options.corruptions:
        print(f"wrote {options.out / FILE_NAME}; next, corrupted images are read", flush=True)
        results = with_corruptions(options, results, validation, test)
        report = write_results(options.out, results, facts, test)
    print(summary(options.out, report), flush=True)
    if options.publish:
        print(publish(options.out / FILE_NAME, options.publish, **floor), flush=True)


def with_corruptions(
    options: argparse.Namespace, results: list[Result], validation: Digits, test: Digits
) -> list[Result]:
    """The results with the accuracy on corrupted images; who interrupts this loses nothing else."""
    try:
        return evaluate_corruptions(results, validation, test)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{options.out / FILE_NAME} is complete but for the accuracy on corrupted images, which --resume "
            "measures"
        ) from None


def what_is_saved(options: argparse.Namespace) -> str:
    """What an interruption left in the run folder, and how to go on."""
    saved = saved_epochs(options.out)
    if not saved:
        return "the first epoch was not over, so nothing is saved; the same command starts again"
    instead = " instead of --force" if options.force else ""
    return f"saved in {options.out}: {saved}; the same command with --resume{instead} goes on"


def read_data(options: argparse.Namespace) -> Dataset:
    """MNIST from the folder that was named, or downloaded."""
    with distributed.rank_zero_first():
        folder = options.data or Path("data")
        return load_mnist(folder, download=options.data is None, check=not options.any_data)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The options that decide what is learned."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    return Recipe(**{name: value for name, value in vars(options).items() if name in names})


def facts_of(
    options: argparse.Namespace,
    data: Dataset,
    train_images: int,
    device: torch.device,
    train_seconds: float,
    result: Result,
) -> RunFacts:
    """What the run folder says of the run as a whole."""
    dataset = {
        "name": "custom" if options.any_data else "MNIST",
        "sha256": data.sha256,
        "train_images": train_images,
        "test_images": len(data.test),
    }
    return RunFacts(
        dataset=dataset,
        validation_images=options.validation,
        device=str(device),
        processes=distributed.world_size(),
        train_seconds=train_seconds,
        forward_microseconds=forward_microseconds(result.module),
    )


def print_once(line: str) -> None:
    """Print in the first process only."""
    if distributed.rank() == 0:
        print(line, flush=True)


if __name__ == "__main__":
    main()
