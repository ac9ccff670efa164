"""What is said of a model: `model.json` for programs, `MODEL_CARD.md` for people, from the same numbers."""

from __future__ import annotations

import datetime as dt
import os
import statistics
from typing import Any

import torch

from training.model import CLASSES, DigitNet, content_hash, parameter_count


def model_card(
    model: DigitNet, *, training: dict[str, Any], dataset: dict[str, Any], metrics: dict[str, float]
) -> dict[str, Any]:
    """The content of `model.json`."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = dt.datetime.fromtimestamp(int(epoch), dt.UTC) if epoch else dt.datetime.now(dt.UTC)
    return {
        "format": 1,
        "name": "mnist-cnn",
        "version": content_hash(model)[:12],
        "created": now.date().isoformat(),
        "classes": list(CLASSES),
        "input": {"name": "image", "shape": [-1, 1, 28, 28], "dtype": "float32", "range": [0, 1]},
        "output": {"name": "logits", "shape": [-1, len(CLASSES)], "dtype": "float32"},
        "parameters": parameter_count(model),
        "training": training,
        "dataset": dataset,
        "metrics": metrics,
        "torch": torch.__version__.split("+")[0],
    }


PAGE = """# {name} {version}

Reads one handwritten digit. Made on {created} with PyTorch {torch}.

| | |
| --- | --- |
| accuracy on {test_images:,} test images | {test_accuracy:.2%} |
{corruption_accuracy}| expected calibration error | {test_ece:.2%} |
{seeds}| parameters | {parameters:,} |
| time per image, one thread, batch 1 / 8 / 32 | {speed} µs |

## Use

Input: float32 `[N, 1, 28, 28]`, pixels 0 to 1, white ink on black, the digit centred as in MNIST; normalisation is
inside. Output: float32 logits `[N, 10]`, one for each of the digits 0 to 9; their softmax is the probability.

Meant for single digits, drawn or cut out. {outliers} MNIST was written by census workers and pupils in
the United States; other ways of writing 1, 4, 7 and 9 are rare in it, and training adds only drawn ones: measure on
your own images before you rely on it.

## Training

{train_images:,} images of {dataset} (sha256 over the files `{sha256}`), {epochs} epochs, seed {seed}, teachers:
{teachers}. The exported weights are the exponential moving average after the last step; the test images were used once,
at the end.
{negatives}
## Corrupted images

{corruptions}
"""  # noqa: E501 - the lines of the page, not of the program


def as_markdown(card: dict[str, Any], report: dict[str, Any]) -> str:
    """One page for people, from the content of `model.json` and of `metrics.json`."""
    speed = report["forward_microseconds_per_image"]
    return PAGE.format(
        **{name: card[name] for name in ("name", "version", "created", "torch", "parameters")},
        **{name: card["metrics"][name] for name in ("test_accuracy", "test_ece")},
        **{name: card["training"][name] for name in ("epochs", "seed", "teachers")},
        **{name: card["dataset"][name] for name in ("train_images", "test_images")},
        dataset=card["dataset"]["name"],
        sha256=card["dataset"]["sha256"][:12],
        seeds=_seeds(report),
        speed=" / ".join(str(speed[size]) for size in ("1", "8", "32")),
        corruption_accuracy=_corruption_accuracy(card["metrics"]),
        corruptions=_corruptions(report["corruptions"]),
        outliers=_outliers(card),
        negatives=_negatives(report["outliers"]),
    )


def _outliers(card: dict[str, Any]) -> str:
    """What happens to an image of no digit."""
    if "outlier" not in card:
        return (
            "It has no answer for what is not a digit: letters, several digits or an\n"
            "empty image still give some digit, sometimes with high confidence."
        )
    return (
        "An image is an outlier if its energy, minus the logsumexp of its\n"
        f"logits, is above {card['outlier']['threshold']}: a letter, a scribble, several digits, nothing. "
        "It gives some digit all the\nsame."
    )


def _negatives(outliers: dict[str, Any] | None) -> str:
    """A table of what is flagged, if the network tells outliers."""
    if outliers is None:
        return ""
    rows = [
        "\n## Outliers\n",
        f"{outliers['digits']:.2%} of the test images are flagged. An image of no digit has a higher energy\n"
        f"than a test image with a probability of {outliers['auroc']:.4f} (AUROC).\n",
        "| images of no digit | flagged |",
        "| --- | --- |",
    ]
    by_share = sorted(outliers["kinds"].items(), key=lambda item: item[1])
    rows += [f"| {kind.replace('_', ' ')} | {share:.1%} |" for kind, share in by_share]
    return "\n".join(rows) + "\n"


def _corruption_accuracy(metrics: dict[str, float]) -> str:
    """A row, if it has been measured."""
    mean = metrics.get("test_corruption_accuracy")
    return "" if mean is None else f"| mean accuracy on corrupted test images | {mean:.2%} |\n"


def _corruptions(accuracies: dict[str, list[float]]) -> str:
    """A table of the kinds, if they have been measured."""
    if not accuracies:
        return "Not measured: `python -m training --resume` without `--no-corruptions` does that."
    rows = [
        "Accuracy by kind at three strengths, worst kind first.\n",
        "| kind | weak | medium | strong | mean |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, measured in sorted(accuracies.items(), key=lambda item: statistics.fmean(item[1])):
        cells = [kind, *(f"{accuracy:.2%}" for accuracy in [*measured, statistics.fmean(measured)])]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _seeds(report: dict[str, Any]) -> str:
    """A row on the students of all seeds, if there are others than the exported one."""
    count = len(report["students"])
    if count == 1:
        return ""
    return f"| mean of {count} seeds | {report['students_mean']:.3%} ± {report['students_sd']:.3%} |\n"
