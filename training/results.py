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
class Result:
    """A student as a service would have it: exported, with its logits (N, 10) for the test images."""

    student: Student
    temperature: float
    module: torch.jit.ScriptModule
    logits: Tensor
    corruptions: dict[str, list[float]]
    metrics: dict[str, float]


def measure(student: Student, validation: Digits, test: Digits, temperature: float | None) -> Result:
    """Fold a temperature into the model, export it, and measure the exported module.

    The temperature is the one given, or fitted on the held-out images, or 1 where there are none.
    """
    model = student.model.cpu()
    if temperature is None and len(validation):
        temperature = fit_temperature(predict(model, validation.pixels()), validation.labels)
    temperature = temperature or 1.0
    divide_logits(model, temperature)
    module = frozen(model)
    check_agreement(model, module, test.pixels()[:64])

    metrics: dict[str, float] = {}
    if len(validation):
        metrics |= scores("validation", exported_logits(module, validation.pixels()), validation.labels)
        metrics["validation_corruption_accuracy"] = mean(corruption_accuracy(module, validation))
    logits = exported_logits(module, test.pixels())
    corruptions = corruption_accuracy(module, test)
    metrics |= scores("test", logits, test.labels)
    metrics["test_corruption_accuracy"] = mean(corruptions)
    return Result(student, temperature, module, logits, corruptions, metrics)


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
