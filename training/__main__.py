"""Train a digit classifier and export the weights file that the service reads.

Download MNIST into data/, hold 5,000 images out to choose by, and train on the rest:

    python -m training --out runs/first

Read MNIST that is there already, and train on all 60,000 images with the temperature of the first run:

    python -m training --data DIR --out runs/final --validation 0 --temperature 0.9

See in a few steps that everything works:

    python -m training --data DIR --out runs/try --dry-run

The run folder holds the weights file, `metrics.json` and `model.json`. Choices are made on the validation
images, always the same ones; the test images are looked at once, when training is over.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.calibration import accuracy, expected_calibration_error, fit_temperature
from training.data import load_mnist, split
from training.errors import TrainingError
from training.export import (
    FILE_NAME,
    as_json,
    check_agreement,
    forward_microseconds,
    frozen,
    golden_cases,
    model_card,
    write_bytes,
    write_weights,
)
from training.model import DigitNet, content_hash, divide_logits, parameter_count, predict
from training.options import parse
from training.train import Recipe, Trainer


def main() -> None:
    """Parse the command line, run, and turn a TrainingError into one line and exit status 1."""
    options = parse(sys.argv[1:])
    try:
        run(options)
    except TrainingError as error:
        raise SystemExit(f"training: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("training: interrupted") from None


def run(options: argparse.Namespace) -> None:
    """Data, training, calibration, evaluation, export: in this order."""
    started = time.perf_counter()
    device = choose_device(options.device)
    # Torch counts the machine's cores; more threads than this process may use would spin in each other's way.
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    torch.use_deterministic_algorithms(True)
    make_folder(options.out)

    # Data.
    downloads = options.data is None
    folder = Path("data") if downloads else options.data
    data = load_mnist(folder, download=downloads, check=not options.any_data)
    learning, validation = split(data.train, options.validation)
    sizes = [f"{len(part):,}" for part in (learning, validation, data.test)]
    print("{} images to learn from, {} to choose by, {} to test".format(*sizes))

    # Training.
    recipe = recipe_of(options)
    torch.manual_seed(recipe.seed)
    trainer = Trainer(DigitNet(), learning, recipe, device=device)
    model = trainer.run(validation).cpu()
    trained_seconds = time.perf_counter() - started

    # Calibration: on images that training has not seen, or with what such a run found before.
    metrics: dict[str, float] = {}
    temperature = options.temperature
    if len(validation):
        logits = predict(model, validation.pixels())
        temperature = temperature or fit_temperature(logits, validation.labels)
        metrics |= scores("validation", logits / temperature, validation.labels)
    temperature = temperature or 1.0
    divide_logits(model, temperature)

    # Evaluation, of what will be served: the exported module.
    module = frozen(model)
    check_agreement(model, module, data.test.pixels()[:64])
    logits = exported_logits(module, data.test.pixels())
    metrics |= scores("test", logits, data.test.labels)
    speed = forward_microseconds(module)

    # Export.
    training = dataclasses.asdict(recipe) | {"temperature": temperature, "validation_images": len(validation)}
    dataset = {
        "name": "MNIST" if not options.any_data else "custom",
        "sha256": data.sha256,
        "train_images": len(learning),
        "test_images": len(data.test),
    }
    card = model_card(model, training=training, dataset=dataset, metrics=metrics)
    path = options.out / FILE_NAME
    write_weights(module, card, golden_cases(module, data.test), path)
    write_bytes(options.out / "model.json", as_json(card).encode())
    report: dict[str, Any] = {
        **metrics,
        "parameters": parameter_count(model),
        "version": content_hash(model)[:12],
        "temperature": temperature,
        "forward_microseconds_per_image": speed,
        "epochs": [dataclasses.asdict(epoch) for epoch in trainer.history],
        "training": training,
        "dataset": dataset,
        "train_seconds": round(trained_seconds, 1),
        "total_seconds": round(time.perf_counter() - started, 1),
        "device": str(device),
    }
    write_bytes(options.out / "metrics.json", as_json(report).encode())
    summary = {name: round(value, 5) for name, value in metrics.items()}
    print(json.dumps(summary | {"forward_us": speed, "seconds": report["total_seconds"]}, indent=2))
    print(f"wrote {path} ({path.stat().st_size:,} bytes)")


def choose_device(name: str) -> torch.device:
    """The device of that name, if this machine has it."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"--device {name} is no device; use cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            f"--device {name}: torch sees no GPU here; leave out --device to train on the CPU"
        )
    return device


def make_folder(folder: Path) -> None:
    """Create the folder for results now, so that a bad name does not come up after an hour of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TrainingError(f"cannot write in {folder}: {error.strerror}; choose another --out") from error


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The options that decide what is learned."""
    given = vars(options)
    names = {field.name for field in dataclasses.fields(Recipe)}
    recipe = Recipe(**{name: value for name, value in given.items() if name in names})
    return dataclasses.replace(recipe, epochs=1, max_steps=5) if options.dry_run else recipe


def exported_logits(module: torch.jit.ScriptModule, images: Tensor) -> Tensor:
    """Logits (N, 10) as the service will compute them."""
    with torch.inference_mode():
        return torch.cat([module(batch) for batch in torch.split(images, 500)])


def scores(part: str, logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, mean cross entropy and expected calibration error, named after the part of the data."""
    return {
        f"{part}_accuracy": accuracy(logits, labels),
        f"{part}_loss": float(F.cross_entropy(logits, labels)),
        f"{part}_ece": expected_calibration_error(logits, labels),
    }


if __name__ == "__main__":
    main()
