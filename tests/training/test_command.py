"""`python -m training`, run as a person runs it, on the small real sample in tests/data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.weights_file import read_weights_file
from training.corruptions import KINDS

# Enough steps on 300 images to learn something.
OPTIONS = ["--validation", "100", "--epochs", "4", "--batch-size", "25", "--defects", "0"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "1700000000"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training", "--threads", "1", *arguments]


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=ENVIRONMENT)


def interrupt(at: str, arguments: list[str]) -> None:
    """Start the command, and kill it once its progress says `at`."""
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        shown = ""
        while at not in shown:
            part = process.stderr.read(20)
            assert part, f"the run ended before it could be interrupted: {shown}"
            shown += part
        process.kill()


@pytest.fixture(scope="session")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    finished = train("--data", str(sample), "--out", str(folder), *OPTIONS)
    assert finished.returncode == 0, finished.stderr
    assert "student-1 4/4" in finished.stderr
    assert "accuracy=" in finished.stderr
    return folder


def test_run_writes_weights_and_metrics(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())

    assert metrics["test_accuracy"] > 0.5
    assert [epoch["epoch"] for epoch in metrics["epochs"]] == [1, 2, 3, 4]
    assert all(0 <= epoch["validation_accuracy"] <= 1 for epoch in metrics["epochs"])
    assert set(metrics["forward_microseconds_per_image"]) == {"1", "8", "32", "64"}
    assert len(metrics["corruptions"]) == 20
    assert [student["seed"] for student in metrics["students"]] == [1]
    assert metrics["students_mean"] == metrics["test_accuracy"]
    assert metrics["students_sd"] is None
    assert (run / "mnist_cnn.pt").stat().st_size < 1024 * 1024


def test_run_explains_itself(run: Path) -> None:
    card = json.loads((run / "model.json").read_text())
    page = (run / "MODEL_CARD.md").read_text()

    assert page.startswith(f"# mnist-cnn {card['version']}\n")
    assert f"| accuracy on 200 test images | {card['metrics']['test_accuracy']:.2%} |" in page
    assert all(f"\n| {kind} | " in page for kind in KINDS)
    for picture in ("learning_curves", "confusion_matrix", "reliability_diagram", "worst_mistakes"):
        assert (run / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_weights_file_carries_its_card(run: Path) -> None:
    _, card, _ = read_weights_file(run / "mnist_cnn.pt")

    assert card == json.loads((run / "model.json").read_text())
    assert card["format"] == 1
    assert card["name"] == "mnist-cnn"
    assert len(card["version"]) == 12
    assert card["created"] == "2023-11-14"
    assert card["classes"] == list("0123456789")
    assert card["input"] == {"name": "image", "shape": [-1, 1, 28, 28], "dtype": "float32", "range": [0, 1]}
    assert card["output"] == {"name": "logits", "shape": [-1, 10], "dtype": "float32"}
    assert card["training"]["seed"] == 1
    assert card["dataset"]["train_images"] == 300
    assert card["torch"] == torch.__version__.split("+")[0]


def test_weights_file_replays_its_golden_cases(run: Path) -> None:
    module, _, golden = read_weights_file(run / "mnist_cnn.pt")

    logits = module(torch.from_numpy(golden["images"]).unsqueeze(1).float() / 255)

    assert golden["images"].dtype == np.uint8
    assert golden["logits"].dtype == np.float32
    assert (golden["logits"].argmax(axis=1) == golden["labels"]).all()
    np.testing.assert_allclose(logits.numpy(), golden["logits"], atol=1e-4)


def test_weights_file_is_folded_and_names_no_place(run: Path) -> None:
    module, _, _ = read_weights_file(run / "mnist_cnn.pt")

    assert "batch_norm" not in str(module.graph)
    assert str(Path(__file__).parents[2]).encode() not in (run / "mnist_cnn.pt").read_bytes()


def test_resumed_run_ends_as_an_uninterrupted_one(run: Path, sample: Path, tmp_path: Path) -> None:
    whole = ["--data", str(sample), "--out", str(tmp_path), *OPTIONS]
    interrupt("student-1 3/4", whole)
    assert not (tmp_path / "mnist_cnn.pt").exists()

    finished = train(*whole, "--resume")

    assert finished.returncode == 0, finished.stderr
    assert "student-1 1/4" not in finished.stderr
    assert "student-1 4/4" in finished.stderr
    assert (tmp_path / "mnist_cnn.pt").read_bytes() == (run / "mnist_cnn.pt").read_bytes()


# Four Python processes import torch here, one after the other.
@pytest.mark.timeout(300)
def test_distilled_students_of_two_seeds_resume_within_teacher_and_student(
    sample: Path, tmp_path: Path
) -> None:
    distillation = [
        "--teachers",
        "1",
        "--teacher-epochs",
        "2",
        "--views",
        "2",
        "--students",
        "2",
        "--bfloat16",
    ]
    options = ["--data", str(sample), *OPTIONS, *distillation]
    straight, broken = ([*options, "--out", str(tmp_path / name)] for name in "ab")
    finished = train(*straight)
    assert finished.returncode == 0, finished.stderr

    interrupt("teacher-1 2/2", broken)
    interrupt("student-1 3/4", [*broken, "--resume"])
    resumed = train(*broken, "--resume")

    assert resumed.returncode == 0, resumed.stderr
    assert "soft labels" not in resumed.stderr
    assert "student-1 1/4" not in resumed.stderr
    (soft_labels,) = (tmp_path / "a").glob("soft-labels-*.npy")
    assert (tmp_path / "b" / soft_labels.name).read_bytes() == soft_labels.read_bytes()
    weights = [(tmp_path / name / "mnist_cnn.pt").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    first, second = metrics["students"]
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["test_accuracy"] == metrics["test_accuracy"]
    assert set(first) == set(second) >= {"temperature", "test_ece", "validation_corruption_accuracy"}
    mean, sd = metrics["students_mean"], metrics["students_sd"]
    assert mean == pytest.approx((first["test_accuracy"] + second["test_accuracy"]) / 2)
    assert f"test accuracy over 2 seeds: {mean:.3%} ± {sd:.3%}" in resumed.stdout
    assert f"| mean of 2 seeds | {mean:.3%} ± {sd:.3%} |" in (tmp_path / "b" / "MODEL_CARD.md").read_text()


# Three Python processes import torch here, each in its own time.
@pytest.mark.timeout(300)
def test_two_processes_with_a_teacher_train_one_model(sample: Path, tmp_path: Path) -> None:
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "training",
    ]
    options = [
        "--threads",
        "1",
        "--data",
        str(sample),
        "--out",
        str(tmp_path),
        "--teachers",
        "1",
        "--dry-run",
    ]

    finished = subprocess.run(
        [*torchrun, *options, "--validation", "100", "--batch-size", "32"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
    )

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("training images, ") == 1
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["processes"] == 2
    assert metrics["training"]["teachers"] == 1
    assert metrics["training"]["views"] == 1
    assert len(list(tmp_path.glob("soft-labels-*.npy"))) == 1


def test_missing_data_ends_the_command_with_one_line(tmp_path: Path) -> None:
    finished = train("--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))

    assert finished.returncode == 1
    assert finished.stderr.startswith("training: ")
    assert finished.stderr.endswith(
        "is missing; leave out --data to download MNIST, or name the folder above MNIST/raw\n"
    )
    assert len(finished.stderr.splitlines()) == 1
