"""Calibrate, export and evaluate trained networks: accuracy, calibration, robustness and speed."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.calibration import accuracy, expected_calibration_error, fit_temperature
from training.corruptions import KINDS, STRENGTHS, corrupt
from training.data import Digits
from training.distillation import Student
from training.export import check_agreement, frozen
from training.model import divide_logits, predict
from training.outlier_evaluation import OutlierReport, measure_outliers
from training.progress import Progress


@dataclass(frozen=True)
class Evaluation:
    """A module on some images: logits (N, 10), scores by name, and accuracy by corruption once measured."""

    logits: Tensor
    scores: dict[str, float]
    corruptions: dict[str, list[float]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A student as the service would have it: exported, and evaluated on the test images."""

    student: Student
    temperature: float
    module: torch.jit.ScriptModule
    validation: Evaluation | None
    test: Evaluation
    outliers: OutlierReport | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The scores on the held-out images, if there are some, and on the test images."""
        validation = self.validation.scores if self.validation else {}
        return validation | self.test.scores | (self.outliers.scores if self.outliers else {})


def evaluate(
    students: Sequence[Student],
    train: Digits,
    validation: Digits,
    test: Digits,
    *,
    temperature: float | None,
    outlier_rate: float,
) -> list[Result]:
    """Export the students, a temperature folded into each, and evaluate the exported modules, in seconds.

    The temperature is the one given, or fitted on the held-out images, or 1 where there are none. Where
    networks learned from negatives, `outlier_rate` of the held-out images count as outliers, or of the
    training images where none are held out.
    """
    temperatures = [_calibrate(student, validation, temperature) for student in students]
    modules = [frozen(student.model) for student in students]
    for student, module in zip(students, modules, strict=True):
        check_agreement(student.model, module, test.pixels()[:64])
    results = []
    for student, fitted, module in zip(students, temperatures, modules, strict=True):
        held_out = _evaluate_on("validation", module, validation) if len(validation) else None
        on_test = _evaluate_on("test", module, test)
        outliers = None
        if student.recipe.negatives:
            known = held_out.logits if held_out else exported_logits(module, train.pixels())
            read = functools.partial(exported_logits, module)
            outliers = measure_outliers(read, known, on_test.logits, test, outlier_rate)
        results.append(Result(student, fitted, module, held_out, on_test, outliers))
    return results


def _evaluate_on(part: str, module: torch.jit.ScriptModule, digits: Digits) -> Evaluation:
    logits = exported_logits(module, digits.pixels())
    return Evaluation(logits, scores(part, logits, digits.labels))


def evaluate_corruptions(results: Sequence[Result], validation: Digits, test: Digits) -> list[Result]:
    """The results with the accuracy on corrupted images, which takes minutes to measure."""
    modules = [result.module for result in results]
    by_part = {
        part: corruption_accuracy(modules, digits, f"{part} images, corrupted")
        for part, digits in (("validation", validation), ("test", test))
        if len(digits)
    }
    measured = []
    for index, result in enumerate(results):
        held_out = result.validation
        if held_out is not None:
            held_out = _with_corruptions("validation", held_out, by_part["validation"][index])
        on_test = _with_corruptions("test", result.test, by_part["test"][index])
        measured.append(dataclasses.replace(result, validation=held_out, test=on_test))
    return measured


def _with_corruptions(part: str, evaluation: Evaluation, accuracies: dict[str, list[float]]) -> Evaluation:
    named = evaluation.scores | {f"{part}_corruption_accuracy": mean_accuracy(accuracies)}
    return dataclasses.replace(evaluation, scores=named, corruptions=accuracies)


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
    modules: Sequence[torch.jit.ScriptModule], digits: Digits, title: str = "corruptions"
) -> list[dict[str, list[float]]]:
    """For each module and each kind of `corruptions.KINDS`, the accuracy at its three strengths.

    Corrupting an image costs more than classifying it, so each is corrupted once for all modules.
    """
    images = digits.pixels()
    results: list[dict[str, list[float]]] = [{kind: [] for kind in KINDS} for _ in modules]
    with Progress(title, len(KINDS) * STRENGTHS, "corruptions") as shows:
        for kind, strength in itertools.product(KINDS, range(STRENGTHS)):
            corrupted = corrupt(kind, strength, images)
            for module, result in zip(modules, results, strict=True):
                result[kind].append(accuracy(exported_logits(module, corrupted), digits.labels))
            shows.update()
        means = ", ".join(f"{mean_accuracy(result):.2%}" for result in results)
        shows.show(accuracy=means)
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
