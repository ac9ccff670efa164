"""What the exported module is worth: accuracy, calibration, robustness and speed."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from training.calibration import accuracy, expected_calibration_error
from training.corruptions import KINDS, STRENGTHS, corrupt
from training.data import Digits


def exported_logits(module: torch.jit.ScriptModule, images: Tensor) -> Tensor:
    """Logits (N, 10) as the service will compute them."""
    with torch.inference_mode():
        return torch.cat([module(batch) for batch in torch.split(images, 500)])


def corruption_accuracy(
    modules: Sequence[torch.jit.ScriptModule], digits: Digits
) -> list[dict[str, list[float]]]:
    """For each module and each kind of `corruptions.KINDS`, the accuracy at its three strengths.

    To spoil an image costs more than to recognise it: each is spoiled once for all modules.
    """
    images = digits.pixels()
    results: list[dict[str, list[float]]] = [{kind: [] for kind in KINDS} for _ in modules]
    for kind, strength in tqdm(list(itertools.product(KINDS, range(STRENGTHS))), desc="corruptions"):
        spoiled = corrupt(kind, strength, images)
        for module, result in zip(modules, results, strict=True):
            result[kind].append(accuracy(exported_logits(module, spoiled), digits.labels))
    return results


def mean(corruptions: dict[str, list[float]]) -> float:
    """The mean over all kinds and strengths, each counting the same."""
    return statistics.fmean(itertools.chain.from_iterable(corruptions.values()))


def scores(part: str, logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, mean cross entropy and expected calibration error, named after the part of the data."""
    return {
        f"{part}_accuracy": accuracy(logits, labels),
        f"{part}_loss": float(F.cross_entropy(logits, labels)),
        f"{part}_ece": expected_calibration_error(logits, labels),
    }


def forward_microseconds(module: torch.jit.ScriptModule, seconds: float = 0.3) -> dict[str, float]:
    """The time per image of one thread at batch 1, 8, 32 and 64: the best of many rounds, in microseconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = {}
    with torch.inference_mode():
        for size in (1, 8, 32, 64):
            images = torch.rand(size, 1, 28, 28)
            for _ in range(20):
                module(images)
            best, end = float("inf"), time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                for _ in range(10):
                    module(images)
                best = min(best, time.perf_counter() - start)
            result[str(size)] = round(best / 10 / size * 1e6, 1)
    torch.set_num_threads(threads)
    return result
