"""`python -m training`, as a person runs it, on the small real sample in tests/data."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.support.training_command import train
from tests.support.weights_file import read_weights_file
from training.corruptions import KINDS
from training.negatives import MEASURED
from training.outliers import energy

# Enough steps on 300 images to learn something.
OPTIONS = ["--validation", "100", "--epochs", "4", "--batch-size", "25", "--defects", "0"]
EPOCH = "1700000000"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": EPOCH}


@pytest.fixture(autouse=True)
def _same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training", "--threads", "1", *arguments]


class Run(NamedTuple):
    """The folder of a finished run, and what the command said."""

    folder: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run from begin to end, in a process of its own: TorchScript's names count what a process has made."""
    folder = tmp_path_factory.mktemp("run")
    whole = command("--data", str(sample), "--out", str(folder), *OPTIONS)
    done = subprocess.run(whole, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return Run(folder, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def run(finished: Run) -> Path:
    """Its folder."""
    return finished.folder


def test_a_log_has_a_line_for_each_epoch_and_stage(finished: Run) -> None:
    lines = finished.stderr.splitlines()

    assert [line.partition(": ")[0] for line in lines] == [
        "drawn images",
        *(f"student-1 {number}/4" for number in (1, 2, 3, 4)),
        "validation images, corrupted",
        "test images, corrupted",
    ]
    assert "accuracy=" in lines[1]
    assert "validation=" in lines[4]


def test_run_ends_with_what_it_made_and_how_to_use_it(finished: Run) -> None:
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    weights = finished.folder / "mnist_cnn.pt"
    version = metrics["version"]

    lines = [" ".join(line.split()) for line in finished.stdout.splitlines()]
    assert lines[:3] == [
        "300 training images, 100 validation images",
        f"wrote {weights}; next, corrupted images are read",
        f"seed 1, version {version}",
    ]
    assert lines[3] == (
        f"test images {metrics['test_accuracy']:.2%} of 200 read right, "
        f"calibration error {metrics['test_ece']:.2%}"
    )
    assert lines[4] == f"held-out images {metrics['validation_accuracy']:.2%} read right"
    assert lines[5] == f"corrupted images {metrics['test_corruption_accuracy']:.2%} read right"
    assert lines[6].startswith(f"outliers {metrics['test_outlier_rate']:.2%} of the test images flagged, ")
    assert lines[7].startswith("training 4 epochs of 300 images; ")
    assert lines[8:] == [
        f"wrote {weights}, and a report beside it: {finished.folder / 'MODEL_CARD.md'}",
        f"serve it: MODEL_PATH={weights} make serve",
        f"deploy it: kubectl create configmap weights-{version} --from-file=mnist_cnn.pt={weights} && "
        "helm upgrade --install rust-ml-api charts/rust-ml-api --reset-then-reuse-values "
        f"--set model.existingConfigMap=weights-{version} --set model.file=mnist_cnn.pt",
    ]


def test_run_writes_a_row_for_each_epoch(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))

    epochs = json.loads((run / "metrics.json").read_text())["epochs"]
    assert [
        {"network": "student-1", **{name: str(value) for name, value in each.items()}} for each in epochs
    ] == rows


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


def test_run_tells_outliers_and_says_how_well(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    _, card, golden = read_weights_file(run / "mnist_cnn.pt")
    page = (run / "MODEL_CARD.md").read_text()

    outliers = metrics["outliers"]
    assert card["outlier"] == {"score": "energy", "threshold": outliers["threshold"]}
    assert set(outliers["kinds"]) == {kind.__name__ for kind in MEASURED}
    assert card["metrics"]["outlier_auroc"] == outliers["auroc"] > 0.5
    assert f"| side by side | {outliers['kinds']['side_by_side']:.1%} |" in page
    assert f"is above {card['outlier']['threshold']}" in page.replace("\n", " ")
    assert (energy(golden["logits"]) <= outliers["threshold"]).mean() > 0.9


def test_without_negatives_no_outliers_are_told(sample: Path, tmp_path: Path) -> None:
    options = [*OPTIONS, "--dry-run", "--negatives", "0", "--no-corruptions"]

    done = train("--data", str(sample), "--out", str(tmp_path), *options)

    assert done.returncode == 0, done.stderr
    assert " outliers not told" in " ".join(done.stdout.split())
    assert "outlier" not in json.loads((tmp_path / "model.json").read_text())
    assert "It has no answer for what is not a digit" in (tmp_path / "MODEL_CARD.md").read_text()


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


@pytest.mark.slow
def test_ctrl_c_says_what_is_saved_and_resume_ends_as_an_uninterrupted_run(
    run: Path, sample: Path, tmp_path: Path
) -> None:
    whole = ["--data", str(sample), "--out", str(tmp_path), *OPTIONS]
    with subprocess.Popen(command(*whole), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("student-1 2/4"):
            assert line, "the run ended before it could be interrupted"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == (
            f"training: interrupted; saved in {tmp_path}: student-1 2 of 4 epochs; the same command with "
            "--resume goes on\n"
        )
    assert process.returncode == 130
    assert not (tmp_path / "mnist_cnn.pt").exists()

    again = train(*whole)
    resumed = subprocess.run(command(*whole, "--resume"), capture_output=True, text=True, env=ENVIRONMENT)

    assert (again.returncode, again.stderr) == (
        1,
        f"training: {tmp_path} holds an interrupted run (student-1 2 of 4 epochs); add --resume to go on "
        "with it, --force to start again, or choose another --out\n",
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "student-1 1/4" not in resumed.stderr
    assert "student-1 4/4" in resumed.stderr
    for name in ("mnist_cnn.pt", "metrics.csv"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_ctrl_c_in_the_first_epoch_says_that_nothing_is_saved(sample: Path, tmp_path: Path) -> None:
    interrupted = train("--data", str(sample), "--out", str(tmp_path), *OPTIONS, interrupt_at="student-1 1/4")

    assert interrupted.returncode == 130
    assert interrupted.stderr.endswith(
        "training: interrupted; the first epoch was not over, so nothing is saved; the same command "
        "starts again\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_is_replaced_only_by_force(run: Path, sample: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    options = ["--data", str(sample), "--out", str(folder), *OPTIONS, "--epochs", "1", "--seed", "2"]

    again = train(*options)
    forced = train(*options, "--force", interrupt_at="student-2 1/1")

    assert (again.returncode, again.stderr) == (
        1,
        f"training: {folder} holds a finished run; add --resume to go on from it, --force to replace it, or "
        "choose another --out\n",
    )
    assert forced.stderr.endswith("so nothing is saved; the same command starts again\n")
    assert list(folder.glob("*.state")) == []
    assert (folder / "mnist_cnn.pt").read_bytes() == (run / "mnist_cnn.pt").read_bytes()


def test_weights_are_complete_before_corrupted_images_are_read(sample: Path, tmp_path: Path) -> None:
    options = ["--data", str(sample), "--out", str(tmp_path), *OPTIONS, "--epochs", "1"]

    interrupted = train(*options, interrupt_at="validation images, corrupted")

    assert interrupted.returncode == 130
    assert interrupted.stderr.endswith(
        f"training: interrupted; {tmp_path / 'mnist_cnn.pt'} is complete but for the accuracy on corrupted "
        "images, which --resume measures\n"
    )
    _, card, _ = read_weights_file(tmp_path / "mnist_cnn.pt")
    assert card == json.loads((tmp_path / "model.json").read_text())
    assert set(card["metrics"]) == {
        *(f"{part}_{score}" for part in ("test", "validation") for score in ("accuracy", "ece", "loss")),
        *("test_outlier_rate", "negatives_outlier_rate", "outlier_auroc"),
    }
    assert "Not measured: `python -m training --resume`" in (tmp_path / "MODEL_CARD.md").read_text()
    assert (tmp_path / "learning_curves.png").is_file()


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
    options = ["--data", str(sample), *OPTIONS, *distillation, "--no-corruptions"]
    straight, broken = ([*options, "--out", str(tmp_path / name)] for name in "ab")
    finished = train(*straight)
    assert finished.returncode == 0, finished.stderr

    train(*broken, interrupt_at="teacher-1 2/2")
    interrupted = train(*broken, "--resume", interrupt_at="student-1 3/4")
    resumed = train(*broken, "--resume")

    assert "teacher-1 2 of 2 epochs, student-1 2 of 4 epochs; the same command" in interrupted.stderr
    assert "teacher-1 1/2" not in interrupted.stderr
    assert resumed.returncode == 0, resumed.stderr
    assert "soft labels" not in resumed.stderr
    assert "student-1 1/4" not in resumed.stderr
    (soft_labels,) = (tmp_path / "a").glob("soft-labels-*.npy")
    assert (tmp_path / "b" / soft_labels.name).read_bytes() == soft_labels.read_bytes()
    (_, card, golden), (_, other_card, other_golden) = (
        read_weights_file(tmp_path / name / "mnist_cnn.pt") for name in "ab"
    )
    assert card == other_card  # its version is a hash of the parameters
    for name in golden:
        np.testing.assert_array_equal(golden[name], other_golden[name])
    assert "corrupted images not measured" in " ".join(resumed.stdout.split())
    tables = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in "ab"]
    assert tables[0] == tables[1]
    networks = ["teacher-1"] * 2 + ["student-1"] * 4 + ["student-2"] * 4
    assert [row.partition(",")[0] for row in tables[0]] == ["network", *networks]
    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    first, second = metrics["students"]
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["test_accuracy"] == metrics["test_accuracy"]
    assert set(first) == set(second) >= {"temperature", "test_ece", "validation_accuracy"}
    mean, sd = metrics["students_mean"], metrics["students_sd"]
    assert mean == pytest.approx((first["test_accuracy"] + second["test_accuracy"]) / 2)
    assert f"test accuracy over 2 seeds: {mean:.3%} ± {sd:.3%}" in resumed.stdout
    assert f"| mean of 2 seeds | {mean:.3%} ± {sd:.3%} |" in (tmp_path / "b" / "MODEL_CARD.md").read_text()


# Three Python processes import torch here, each in its own time.
@pytest.mark.slow
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
        "--no-corruptions",
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
    assert finished.stderr.startswith("training: t10k-images-idx3-ubyte is missing in ")
    assert finished.stderr.endswith(
        "also as .gz; leave out --data to download MNIST, or name the folder with its four files\n"
    )
    assert len(finished.stderr.splitlines()) == 1
