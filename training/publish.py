"""Replace the weights file that is served, if the new one is good enough: `--publish`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from training import TrainingError
from training.files import write_bytes

# Accuracies are decimal fractions: 0.99 - 0.01 must not come out above 0.98.
ROUNDING = 1e-9


class PublishRefused(TrainingError):
    """The new weights are not good enough; another attempt at the same run would end in the same way."""

    status = 3


def publish(new: Path, served: Path, *, min_accuracy: float, max_drop: float) -> str:
    """Check the new file and put it in the place of the served one, which is whole at every moment.

    Returns a line that says what happened. Raises PublishRefused, as `check` does.
    """
    told = check(new, served, min_accuracy=min_accuracy, max_drop=max_drop)
    write_bytes(served, new.read_bytes(), option="--publish")
    return f"published {served}: {told}"


def check(new: Path, served: Path, *, min_accuracy: float, max_drop: float) -> str:
    """Compare the test accuracies that the two cards tell; returns a line with both.

    Raises PublishRefused if the new one is below `min_accuracy`, or more than `max_drop` below the served
    one, or if the served file can't be compared. There need not be one.
    """
    card = _read_card(new)
    accuracy = _test_accuracy(card)
    if accuracy is None:
        raise PublishRefused(f"{new} is not published: its card says no test accuracy")
    if accuracy < min_accuracy - ROUNDING:
        raise PublishRefused(
            f"{new} is not published: its test accuracy is {accuracy:.4f}, and --min-accuracy asks for "
            f"{min_accuracy:.4f}; {_what_stays(served)}"
        )
    told = f"test accuracy {accuracy:.4f}"
    if not served.exists():
        return f"{told}, at least {min_accuracy:.4f}; nothing was served before"
    before = _comparable(card, served)
    if accuracy < before - max_drop - ROUNDING:
        raise PublishRefused(
            f"{new} is not published: its test accuracy is {accuracy:.4f}, that of the served file "
            f"{before:.4f}, and --max-drop allows {max_drop:.4f} less; {_what_stays(served)}"
        )
    return f"{told}, before {before:.4f}"


def _comparable(card: dict[str, Any], served: Path) -> float:
    """The test accuracy of a served file that does the same as the new one."""
    way_out = f"compare them yourself, and take {served} away to publish"
    try:
        other = _read_card(served)
    except TrainingError as error:
        raise PublishRefused(f"{error}, so nothing can be compared with it; {way_out}") from None
    accuracy = _test_accuracy(other)
    if accuracy is None:
        raise PublishRefused(f"the card of {served} says no test accuracy; {way_out}")
    if other.get("classes", card["classes"]) != card["classes"]:
        raise PublishRefused(f"{served} has other classes, so accuracies say nothing; {way_out}")
    if ("outlier" in other) != ("outlier" in card):
        able, unable = (served, "the new file") if "outlier" in other else ("the new file", served)
        raise PublishRefused(
            f"{able} tells outliers and {unable} does not, so that pods which serve one would not load the "
            "other; train with --negatives above 0 to tell them and with 0 not to, or take "
            f"{served} away and restart the pods"
        )
    return accuracy


def _what_stays(served: Path) -> str:
    return f"{served} stays as it is" if served.exists() else f"{served} is not there, and pods wait for it"


def _read_card(path: Path) -> dict[str, Any]:
    """The card of a weights file, of which no code is run."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/extra/model.json")]
            card = json.loads(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile, IndexError, ValueError) as error:
        raise TrainingError(f"{path} has no card that can be read") from error
    if not isinstance(card, dict):
        raise TrainingError(f"{path} has no card that can be read")
    return card


def _test_accuracy(card: dict[str, Any]) -> float | None:
    metrics = card.get("metrics")
    accuracy = metrics.get("test_accuracy") if isinstance(metrics, dict) else None
    if isinstance(accuracy, bool) or not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
        return None
    return float(accuracy)
