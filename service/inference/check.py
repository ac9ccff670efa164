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
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from service.errors import InvalidModel
from service.inference.batching import batch_sizes
from service.inference.golden import compare
from service.inference.load_thread import LoadThread
from service.inference.model import Model, configure_torch, load_model
from service.settings import InvalidSetting, Settings

TIMED_BATCH_SIZES = (1, 8, 32)
TIMED_CALLS = 1000


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
        settings = Settings.from_env(os.environ)
        sizes = sorted({*batch_sizes(settings.max_batch_size), *TIMED_BATCH_SIZES})
        load = partial(
            load_model,
            options.file,
            batch_sizes=sizes,
            sha256=options.sha256,
            max_bytes=settings.max_model_bytes,
        )
        model = asyncio.run(LoadThread(settings.load_timeout_seconds).run(load))
    except (InvalidModel, InvalidSetting) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(model.card.details, indent=2))
    print(f"sha256: {model.sha256}")
    with torch.inference_mode():
        print(
            f"golden cases: {len(model.golden.logits)} agree at batch sizes {', '.join(map(str, sizes))}; "
            f"no logit is off by more than {worst_difference(model, sizes):.1e}"
        )
        times = (f"{microseconds_per_image(model, size):.0f} at batch {size}" for size in TIMED_BATCH_SIZES)
        print(f"µs per image, one thread: {', '.join(times)}")
    return 0


def worst_difference(model: Model, sizes: Sequence[int]) -> float:
    """Return how far a logit is from the trainer's, at most, over all golden cases at these batch sizes."""
    return max(
        compare(model.logits(images), logits)
        for size in sizes
        for images, logits in model.golden.batches(size)
    )


def microseconds_per_image(model: Model, size: int) -> float:
    """Return the median time of a batch of this size, divided by its images."""
    images, _ = next(model.golden.batches(size))
    seconds = timeit.repeat(lambda: model.logits(images), number=1, repeat=TIMED_CALLS)
    return statistics.median(seconds) / size * 1e6
