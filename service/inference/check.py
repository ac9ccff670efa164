"""What a weights file says of itself, whether it is so, and how fast it is: ``python -m service.check FILE``.

It prints the model card, replays the golden cases at every batch size that the service runs, and times the
model. The exit status is 0 only if the service would take the file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import timeit
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from service.errors import InvalidModel
from service.inference.golden import compare
from service.inference.load_thread import LoadThread
from service.inference.loading import load_served_model
from service.inference.model import Model
from service.inference.torchscript import configure_torch
from service.settings import InvalidSetting, Settings

TIMED_CALLS, TIMED_SECONDS = 1000, 0.5  # for each batch size, at most


def main(arguments: list[str] | None = None) -> int:
    """Check a weights file and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m service.check", description="Check a weights file as the service would, and time it."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="weights file")
    parser.add_argument("--sha256", default="", metavar="HEX", help="the SHA-256 that the file must have")
    options = parser.parse_args(arguments)

    configure_torch(num_threads=1)
    try:
        settings = replace(
            Settings.from_env(os.environ), model_path=options.file, model_sha256=options.sha256, num_threads=1
        )
        thread = LoadThread(settings.load_timeout_seconds)
        model = asyncio.run(thread.run(partial(load_served_model, settings)))
    except (InvalidModel, InvalidSetting) as error:
        print(error, file=sys.stderr)
        return 1
    # A field a line: there may be a thousand classes.
    card = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in model.card.details.items())
    print("{", ",\n".join(card), "}", sep="\n")
    print(f"sha256: {model.sha256}")
    with torch.inference_mode():
        print(
            f"golden cases: {len(model.golden.logits)} agree at batch sizes "
            f"{', '.join(map(str, model.batch_sizes))}; "
            f"no logit is off by more than {worst_difference(model):.1e}"
        )
        times = (f"{microseconds_per_image(model, size):.0f} at batch {size}" for size in model.batch_sizes)
        print(f"µs per image, one thread: {', '.join(times)}; with {model.kernels.value}")
    return 0


def worst_difference(model: Model) -> float:
    """Return how far a logit is from the trainer's, at most, over all golden cases at all batch sizes."""
    return max(
        compare(model.logits(images), logits)
        for size in model.batch_sizes
        for images, logits in model.golden.batches(size)
    )


def microseconds_per_image(model: Model, size: int) -> float:
    """Return the median time of a batch of this size, divided by its images."""
    images, _ = next(model.golden.batches(size))
    calls = max(3, min(TIMED_CALLS, int(TIMED_SECONDS / model.batch_seconds[size])))
    seconds = timeit.repeat(lambda: model.logits(images), number=1, repeat=calls)
    return statistics.median(seconds) / size * 1e6
