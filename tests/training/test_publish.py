"""New weights replace the served ones only if they are good enough."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.training_command import train
from tests.support.weights import write
from training import TrainingError
from training.publish import PublishRefused, publish


def weights(
    path: Path, accuracy: object, classes: str = "0123456789", *, tells_outliers: bool = False
) -> Path:
    card: dict[str, object] = {"format": 1, "name": "tiny", "version": "0", "classes": list(classes)}
    if tells_outliers:
        card["outlier"] = {"score": "energy", "threshold": 0.5}
    return write(path, card=json.dumps(card | {"metrics": {"test_accuracy": accuracy}}).encode())


@pytest.mark.parametrize(
    ("before", "new", "floor"),
    [
        (None, 0.95, {"min_accuracy": 0.95, "max_drop": 0.0}),
        (0.95, 0.99, {"min_accuracy": 0.9, "max_drop": 0.0}),
        (0.99, 0.98, {"min_accuracy": 0.98, "max_drop": 0.01}),
        (0.99, 0.10, {"min_accuracy": 0.0, "max_drop": 1.0}),
    ],
    ids=["nothing is served", "better", "as much worse as is allowed", "no floor"],
)
def test_weights_that_are_good_enough_are_published(
    tmp_path: Path, before: float | None, new: float, floor: dict[str, float]
) -> None:
    served, made = tmp_path / "served.pt", weights(tmp_path / "new.pt", new)
    if before is not None:
        weights(served, before)

    told = publish(made, served, **floor)

    assert served.read_bytes() == made.read_bytes()
    assert told.startswith(f"published {served}: test accuracy {new:.4f}, ")
    assert told.endswith("nothing was served before" if before is None else f"before {before:.4f}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.pt", "served.pt"]


@pytest.mark.parametrize("before", [True, False], ids=["served", "new"])
def test_weights_that_pods_would_not_load_are_refused(tmp_path: Path, before: bool) -> None:
    served = weights(tmp_path / "served.pt", 0.9, tells_outliers=before)
    made = weights(tmp_path / "new.pt", 0.99, tells_outliers=not before)
    content = served.read_bytes()

    with pytest.raises(PublishRefused, match=r"tells outliers and .* does not") as refusal:
        publish(made, served, min_accuracy=0.0, max_drop=0.0)

    assert str(refusal.value).startswith(f"{served if before else 'the new file'} tells outliers")
    assert served.read_bytes() == content


@pytest.mark.parametrize(
    ("before", "new", "message"),
    [
        (
            0.5,
            0.9799,
            "its test accuracy is 0.9799, and --min-accuracy asks for 0.9800; SERVED stays as it is",
        ),
        (None, 0.5, "its test accuracy is 0.5000, and --min-accuracy asks for 0.9800; SERVED is not there"),
        (
            0.99,
            0.9879,
            "its test accuracy is 0.9879, that of the served file 0.9900, and --max-drop allows 0.0020",
        ),
        (0.99, None, "NEW is not published: its card says no test accuracy"),
        (None, True, "NEW is not published: its card says no test accuracy"),
        (
            "high",
            0.99,
            "the card of SERVED says no test accuracy; compare them yourself, and take SERVED away",
        ),
    ],
)
def test_weights_that_are_worse_are_refused_with_both_figures(
    tmp_path: Path, before: object, new: object, message: str
) -> None:
    served, made = tmp_path / "served.pt", weights(tmp_path / "new.pt", new)
    content = weights(served, before).read_bytes() if before is not None else None

    with pytest.raises(PublishRefused) as refusal:
        publish(made, served, min_accuracy=0.98, max_drop=0.002)

    assert message.replace("SERVED", str(served)).replace("NEW", str(made)) in str(refusal.value)
    assert (served.read_bytes() if served.exists() else None) == content


@pytest.mark.parametrize("content", [b"", b"no archive", b"other classes"])
def test_a_served_file_that_can_not_be_compared_is_kept(tmp_path: Path, content: bytes) -> None:
    served, made = tmp_path / "served.pt", weights(tmp_path / "new.pt", 0.99)
    if content == b"other classes":
        content = weights(served, 0.9, "ABCDEFGHIJ").read_bytes()
    served.write_bytes(content)

    with pytest.raises(PublishRefused, match=r"(no card that can be read|other classes), so .* take .* away"):
        publish(made, served, min_accuracy=0.5, max_drop=1.0)

    assert served.read_bytes() == content


def test_a_full_disk_leaves_what_is_served(tmp_path: Path) -> None:
    served, made = weights(tmp_path / "served.pt", 0.9), weights(tmp_path / "new.pt", 0.99)
    content = served.read_bytes()
    (tmp_path / ".served.pt.part").symlink_to("/dev/full")

    with pytest.raises(TrainingError, match="No space left on device; choose another --publish"):
        publish(made, served, min_accuracy=0.5, max_drop=1.0)

    assert served.read_bytes() == content


def test_the_command_publishes_or_ends_with_a_status_of_its_own(sample: Path, tmp_path: Path) -> None:
    served = tmp_path / "served.pt"
    options = ["--data", str(sample), "--out", str(tmp_path / "run"), "--validation", "100", "--dry-run"]
    options += ["--no-corruptions", "--batch-size", "25", "--publish", str(served)]

    refused = train(*options, "--min-accuracy", "1")
    published = train(*options, "--resume", "--min-accuracy", "0")

    assert refused.returncode == 3
    assert refused.stderr.splitlines()[-1].startswith(
        f"training: {tmp_path / 'run' / 'mnist_cnn.pt'} is not publ"
    )
    assert published.returncode == 0, published.stderr
    assert published.stdout.splitlines()[-1].startswith(f"published {served}: test accuracy 0.")
    assert served.read_bytes() == (tmp_path / "run" / "mnist_cnn.pt").read_bytes()
