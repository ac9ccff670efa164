"""The run folder's results: the weights file, its cards, every measurement, and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import plots
from training.card import as_markdown, model_card
from training.data import Digits
from training.evaluate import Result, over_seeds
from training.export import FILE_NAME, golden_cases, write_weights
from training.files import as_json, write_bytes


@dataclass(frozen=True)
class RunFacts:
    """What is said of a run whatever its networks are worth; `dataset` is a part of the card."""

    dataset: dict[str, Any]
    validation_images: int
    device: str
    processes: int
    train_seconds: float
    forward_microseconds: dict[str, float]


def write_results(folder: Path, results: Sequence[Result], facts: RunFacts, test: Digits) -> dict[str, Any]:
    """Write the weights file, its cards and `metrics.json`; return what is in the last.

    They are about the first student, whatever the others are worth, and have what all of them scored.
    """
    first = results[0]
    training = dataclasses.asdict(first.student.recipe)
    training |= {"temperature": first.temperature, "validation_images": facts.validation_images}
    card = model_card(first.student.model, training=training, dataset=facts.dataset, metrics=first.metrics)
    if first.outliers is not None:
        card["outlier"] = {"score": "energy", "threshold": first.outliers.threshold}
    report = {
        **first.metrics,
        **over_seeds(results),
        "version": card["version"],
        "parameters": card["parameters"],
        "corruptions": first.test.corruptions,
        "outliers": dataclasses.asdict(first.outliers) if first.outliers else None,
        "forward_microseconds_per_image": facts.forward_microseconds,
        "epochs": [dataclasses.asdict(epoch) for epoch in first.student.history],
        "training": training,
        "dataset": facts.dataset,
        "device": facts.device,
        "processes": facts.processes,
        "train_seconds": round(facts.train_seconds, 1),
    }
    write_weights(first.module, card, golden_cases(first.module, test), folder / FILE_NAME)
    write_bytes(folder / "model.json", as_json(card).encode())
    write_bytes(folder / "MODEL_CARD.md", as_markdown(card, report).encode())
    write_bytes(folder / "metrics.json", as_json(report).encode())
    return report


def write_pictures(folder: Path, result: Result, test: Digits) -> None:
    """Draw how the network learned, and what it did with the test images."""
    logits = result.test.logits
    write_bytes(folder / "learning_curves.png", plots.learning_curves(result.student.history))
    write_bytes(folder / "confusion_matrix.png", plots.confusion_matrix(logits, test.labels))
    write_bytes(folder / "reliability_diagram.png", plots.reliability_diagram(logits, test.labels))
    write_bytes(folder / "worst_mistakes.png", plots.worst_mistakes(logits, test))
