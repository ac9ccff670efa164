"""Calibrate, export and evaluate trained networks: accuracy, calibration, robustness and speed."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from training.calibration import accuracy, expected_calibration_error, fit_temperature
from training.corruptions import KINDS, STRENGTHS, corrupt
from training.data import Digits
from training.distillation import Student
from training.export import check_agreement, frozen
from training.model import divide_logits, predict


@dataclass(frozen=True)
class Evaluation:
    """A module on some images: its logits (N, 10), accuracy by corruption, and scores by name."""

    logits: Tensor
    corruptions: dict[str, list[float]]
    scores: dict[str, float]


@dataclass(frozen=True)
class Result:
    """A student as the service would have it: exported, and evaluated on the test images."""

    student: Student
    temperature: float
    module: torch.jit.ScriptModule
    test: Evaluation
    metrics: dict[str, float]


def evaluate(
    students: Sequence[Student], validation: Digits, test: Digits, temperature: float | None
) -> list[Result]:
    """Export the students, a temperature folded into each, and evaluate the exported modules.

    The temperature is the one given, or fitted on the held-out images, or 1 where there are none.
    """
    temperatures = [_calibrate(student, validation, temperature) for student in students]
    modules = [frozen(student.model) for student in students]
    for student, module in zip(students, modules, strict=True):
        check_agreement(student.model, module, test.pixels()[:64])
    held_out = _evaluate_on("validation", modules, validation) if len(validation) else []
    on_test = _evaluate_on("test", modules, test)
    results = []
    for index, student in enumerate(students):
        metrics = (held_out[index].scores if held_out else {}) | on_test[index].scores
        results.append(Result(student, temperatures[index], modules[index], on_test[index], metrics))
    return results


def _evaluate_on(part: str, modules: Sequence[torch.jit.ScriptModule], digits: Digits) -> list[Evaluation]:
    evaluations = []
    for module, corruptions in zip(modules, corruption_accuracy(modules, digits), strict=True):
        logits = exported_logits(module, digits.pixels())
        named = scores(part, logits, digits.labels)
        named[f"{part}_corruption_accuracy"] = mean_accuracy(corruptions)
        evaluations.append(Evaluation(logits, corruptions, named))
    return evaluations


def _calibrate(student: Student, validation: Digits, temperature: float | None) -> float:
    """Fold a temperature into the last layer, and return it."""
    model = student.model.cpu()
    if temperature is None and len(validation):
        temperature = fit_temperature(predict(model, validation.pixels()), validation.labels)
    temperature = temperature or 1.0
    divide_logits(model, temperature)
    return temperature


def over_seeds(results: Sequence[Result]) -> dict[str, Any]:
    """Every student's scores, and the mean and standard deviation of their test accuracy (null for one)."""
    accuracies = [result.metrics["test_accuracy"] for result in results]
    return {
        "students": [
            {"seed": result.student.recipe.seed, "temperature": result.temperature, **result.metrics}
            for result in results
        ],
        "students_mean": statistics.fmean(accuracies),
        "students_sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
    }


def exported_logits(module: torch.jit.ScriptModule, images: Tensor) -> Tensor:
    """Logits (N, 10) as the service will compute them."""
    with torch.inference_mode():
        return torch.cat([module(batch) for batch in torch.split(images, 500)])


def corruption_accuracy(
    modules: Sequence[torch.jit.ScriptModule], digits: Digits
) -> list[dict[str, list[float]]]:
    """For each module and each kind of `corruptions.KINDS`, the accuracy at its three strengths.

    Corrupting an image costs more than classifying it, so each is corrupted once for all modules.
    """
    images = digits.pixels()
    results: list[dict[str, list[float]]] = [{kind: [] for kind in KINDS} for _ in modules]
    for kind, strength in tqdm(list(itertools.product(KINDS, range(STRENGTHS))), desc="corruptions"):
        corrupted = corrupt(kind, strength, images)
        for module, result in zip(modules, results, strict=True):
            result[kind].append(accuracy(exported_logits(module, corrupted), digits.labels))
    return results


def mean_accuracy(corruptions: dict[str, list[float]]) -> float:
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
