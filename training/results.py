"""What became of the students: each is calibrated, exported and measured in the same way."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.calibration import fit_temperature
from training.data import Digits
from training.evaluate import corruption_accuracy, exported_logits, mean, scores
from training.export import check_agreement, frozen
from training.model import divide_logits, predict
from training.school import Student


@dataclass(frozen=True)
class Measured:
    """What a module makes of some images: logits (N, 10), accuracy by corruption, and scores by name."""

    logits: Tensor
    corruptions: dict[str, list[float]]
    scores: dict[str, float]


@dataclass(frozen=True)
class Result:
    """A student as a service would have it: exported, and measured on the test images."""

    student: Student
    temperature: float
    module: torch.jit.ScriptModule
    test: Measured
    metrics: dict[str, float]


def measure(
    students: Sequence[Student], validation: Digits, test: Digits, temperature: float | None
) -> list[Result]:
    """Export the students, a temperature folded into each, and measure the exported modules.

    The temperature is the one given, or fitted on the held-out images, or 1 where there are none.
    """
    temperatures = [_calibrate(student, validation, temperature) for student in students]
    modules = [frozen(student.model) for student in students]
    for student, module in zip(students, modules, strict=True):
        check_agreement(student.model, module, test.pixels()[:64])
    held_out = _measured("validation", modules, validation) if len(validation) else []
    on_test = _measured("test", modules, test)
    results = []
    for place, student in enumerate(students):
        metrics = (held_out[place].scores if held_out else {}) | on_test[place].scores
        results.append(Result(student, temperatures[place], modules[place], on_test[place], metrics))
    return results


def _measured(part: str, modules: Sequence[torch.jit.ScriptModule], digits: Digits) -> list[Measured]:
    each = []
    for module, corruptions in zip(modules, corruption_accuracy(modules, digits), strict=True):
        logits = exported_logits(module, digits.pixels())
        figures = scores(part, logits, digits.labels)
        figures[f"{part}_corruption_accuracy"] = mean(corruptions)
        each.append(Measured(logits, corruptions, figures))
    return each


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
