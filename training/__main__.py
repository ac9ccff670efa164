"""Train a digit classifier and export the weights file that the service reads.

Download MNIST into data/, hold 5,000 images out for validation, and train on the rest:

    python -m training --out runs/first

Read MNIST that is there already, and train on all 60,000 images with the temperature of the first run:

    python -m training --data DIR --out runs/final --validation 0 --temperature 0.9

Train four wider networks first, and let them label 25 views of each image for the student:

    python -m training --data DIR --out runs/distilled --teachers 4 --views 25

Train with seeds 1 to 5, to see how far accuracy depends on the seed, and export the first in any case:

    python -m training --data DIR --out runs/five --students 5

Go on after an interruption; share the work between two processes; see in a few steps that all works:

    python -m training --data DIR --out runs/first --resume
    torchrun --nproc-per-node=2 -m training --data DIR --out runs/first
    python -m training --data DIR --out runs/try --dry-run

The run folder holds the weights file, `metrics.json`, `model.json`, `MODEL_CARD.md`, pictures, and what
`--resume` needs. Choices are made on the validation images, always the same ones; the test images are looked
at once, when training is over.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from training import TrainingError, distributed, plots
from training.card import as_markdown, model_card
from training.data import Dataset, Digits, load_mnist, split
from training.distillation import Distillation
from training.evaluate import Result, evaluate, forward_microseconds, over_seeds
from training.export import FILE_NAME, golden_cases, write_weights
from training.files import as_json, make_folder, write_bytes
from training.options import parse
from training.recipe import Recipe


def main() -> None:
    """Run the command line, and turn a TrainingError into one line and exit status 1."""
    options = parse(sys.argv[1:])
    try:
        run(options)
    except TrainingError as error:
        raise SystemExit(f"training: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("training: interrupted; the same command with --resume goes on") from None


def run(options: argparse.Namespace) -> None:
    """Data, training, calibration, evaluation and export, in this order."""
    # Torch counts the machine's cores; threads beyond those this process may use spin in each other's way.
    torch.set_num_threads(options.threads or distributed.cores())
    # cuBLAS needs this before its first call, or it refuses to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    with distributed.process_group(options.device) as device:
        make_folder(options.out)
        data = read_data(options)
        train, validation = split(data.train, options.validation)
        if options.dry_run:
            train = train.take(slice(5 * options.batch_size))
        print_once(f"{len(train):,} training images, {len(validation):,} validation images")
        started = time.perf_counter()
        distillation = Distillation(options.out, train, validation, device, options.resume)
        students = distillation.train_students(recipe_of(options), options.students)
        seconds = time.perf_counter() - started
        if distributed.rank() == 0:
            results = evaluate(students, validation, data.test, options.temperature)
            write_results(options, results, data, train, device, seconds)


def read_data(options: argparse.Namespace) -> Dataset:
    """MNIST from the folder that was named, or downloaded."""
    with distributed.rank_zero_first():
        folder = options.data or Path("data")
        return load_mnist(folder, download=options.data is None, check=not options.any_data)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The options that decide what is learned."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    return Recipe(**{name: value for name, value in vars(options).items() if name in names})


def write_results(
    options: argparse.Namespace,
    results: Sequence[Result],
    data: Dataset,
    train: Digits,
    device: torch.device,
    train_seconds: float,
) -> None:
    """Write the run folder: about the first student, whatever the others are worth, and what they scored."""
    first = results[0]
    module, history, metrics = first.module, first.student.history, first.metrics
    training = dataclasses.asdict(first.student.recipe)
    training |= {"temperature": first.temperature, "validation_images": options.validation}
    dataset = {
        "name": "custom" if options.any_data else "MNIST",
        "sha256": data.sha256,
        "train_images": len(train),
        "test_images": len(data.test),
    }
    card = model_card(first.student.model, training=training, dataset=dataset, metrics=metrics)
    report = {
        **metrics,
        **over_seeds(results),
        "version": card["version"],
        "parameters": card["parameters"],
        "corruptions": first.test.corruptions,
        "forward_microseconds_per_image": forward_microseconds(module),
        "epochs": [dataclasses.asdict(epoch) for epoch in history],
        "training": training,
        "dataset": dataset,
        "device": str(device),
        "processes": distributed.world_size(),
        "train_seconds": round(train_seconds, 1),
    }

    write_weights(module, card, golden_cases(module, data.test), options.out / FILE_NAME)
    for name, content in {
        "model.json": as_json(card).encode(),
        "metrics.json": as_json(report).encode(),
        "MODEL_CARD.md": as_markdown(card, report).encode(),
        "learning_curves.png": plots.learning_curves(history),
        "confusion_matrix.png": plots.confusion_matrix(first.test.logits, data.test.labels),
        "reliability_diagram.png": plots.reliability_diagram(first.test.logits, data.test.labels),
        "worst_mistakes.png": plots.worst_mistakes(first.test.logits, data.test),
    }.items():
        write_bytes(options.out / name, content)
    print(json.dumps({name: round(value, 5) for name, value in metrics.items()}, indent=2))
    if len(results) > 1:
        mean, sd = report["students_mean"], report["students_sd"]
        print(f"test accuracy over {len(results)} seeds: {mean:.3%} ± {sd:.3%}")
    print(f"wrote {options.out / FILE_NAME}")


def print_once(line: str) -> None:
    """Print in the first process only."""
    if distributed.rank() == 0:
        print(line, flush=True)


if __name__ == "__main__":
    main()
