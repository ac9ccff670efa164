"""`python -m training`, run as a person runs it, on the small real sample in tests/data."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training_sample import unpack_sample
from training import checkpoint
from training.batches import Augmented
from training.corruptions import KINDS
from training.data import load_mnist, split
from training.distributed import choose_device
from training.errors import TrainingError
from training.files import make_folder, write_bytes
from training.model import DigitNet
from training.recipe import Recipe
from training.train import Trainer

CPU = torch.device("cpu")
# Enough steps on 300 images to learn something.
OPTIONS = ["--validation", "100", "--epochs", "4", "--batch-size", "25", "--defects", "0"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "1700000000"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training", "--threads", "1", *arguments]


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=ENVIRONMENT)


def load(path: Path) -> tuple[torch.jit.ScriptModule, dict[str, Any], dict[str, Any]]:
    extra = {"model.json": b"", "golden.npz": b""}
    module = torch.jit.load(str(path), _extra_files=extra)
    with np.load(io.BytesIO(extra["golden.npz"]), allow_pickle=False) as golden:
        return module, json.loads(extra["model.json"]), dict(golden)


def trainer_of(sample: Path, recipe: Recipe) -> Trainer:
    digits = load_mnist(sample, download=False).train
    batches = Augmented(digits, defects=recipe.defects, warp=recipe.warp, device=CPU)
    return Trainer(DigitNet(), batches, recipe, device=CPU)


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
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_sample(tmp_path_factory.mktemp("sample"))


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
    _, card, _ = load(run / "mnist_cnn.pt")

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
    module, _, golden = load(run / "mnist_cnn.pt")

    logits = module(torch.from_numpy(golden["images"]).unsqueeze(1).float() / 255)

    assert golden["images"].dtype == np.uint8
    assert golden["logits"].dtype == np.float32
    assert (golden["logits"].argmax(axis=1) == golden["labels"]).all()
    np.testing.assert_allclose(logits.numpy(), golden["logits"], atol=1e-4)


def test_weights_file_is_folded_and_names_no_place(run: Path) -> None:
    module, _, _ = load(run / "mnist_cnn.pt")

    assert "batch_norm" not in str(module.graph)
    assert str(Path(__file__).parents[1]).encode() not in (run / "mnist_cnn.pt").read_bytes()


def test_resumed_run_ends_as_an_uninterrupted_one(run: Path, sample: Path, tmp_path: Path) -> None:
    whole = ["--data", str(sample), "--out", str(tmp_path), *OPTIONS]
    interrupt("student-1 3/4", whole)
    assert not (tmp_path / "mnist_cnn.pt").exists()

    finished = train(*whole, "--resume")

    assert finished.returncode == 0, finished.stderr
    assert "student-1 1/4" not in finished.stderr
    assert "student-1 4/4" in finished.stderr
    assert (tmp_path / "mnist_cnn.pt").read_bytes() == (run / "mnist_cnn.pt").read_bytes()


def test_resume_with_other_options_is_refused(run: Path, sample: Path) -> None:
    trainer = trainer_of(sample, Recipe(epochs=4, batch_size=25, defects=0, lr=0.5))

    with pytest.raises(TrainingError, match=f"was trained with lr {Recipe().lr}; give the same or leave out"):
        checkpoint.resume(trainer, run / "student-1.state")


def test_resume_from_a_broken_file_is_refused(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "student-1.state").write_bytes(b"PK broken")

    with pytest.raises(TrainingError, match="leave out --resume to start again"):
        checkpoint.resume(trainer_of(sample, Recipe()), tmp_path / "student-1.state")


def test_resume_with_another_network_is_refused(sample: Path, tmp_path: Path) -> None:
    trainer = trainer_of(sample, Recipe())
    other = Trainer(DigitNet(((8, 6, 2, 0),)), trainer.batches, Recipe(), device=CPU)
    checkpoint.save(other, tmp_path / "student-1.state")

    with pytest.raises(TrainingError, match="is of another network"):
        checkpoint.resume(trainer, tmp_path / "student-1.state")


# Four Python processes import torch here, one after the other.
@pytest.mark.timeout(300)
def test_taught_students_of_two_seeds_resume_within_teacher_and_student(sample: Path, tmp_path: Path) -> None:
    taught = ["--teachers", "1", "--teacher-epochs", "2", "--views", "2", "--students", "2", "--bfloat16"]
    options = ["--data", str(sample), *OPTIONS, *taught]
    straight, broken = ([*options, "--out", str(tmp_path / name)] for name in "ab")
    finished = train(*straight)
    assert finished.returncode == 0, finished.stderr

    interrupt("teacher-1 2/2", broken)
    interrupt("student-1 3/4", [*broken, "--resume"])
    resumed = train(*broken, "--resume")

    assert resumed.returncode == 0, resumed.stderr
    assert "lessons" not in resumed.stderr
    assert "student-1 1/4" not in resumed.stderr
    (lessons,) = (tmp_path / "a").glob("lessons-*.npy")
    assert (tmp_path / "b" / lessons.name).read_bytes() == lessons.read_bytes()
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
    assert finished.stdout.count("images to learn from") == 1
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["processes"] == 2
    assert metrics["training"]["teachers"] == 1
    assert metrics["training"]["views"] == 1
    assert len(list(tmp_path.glob("lessons-*.npy"))) == 1


def test_bundled_weights_read_the_ready_made_digits() -> None:
    root = Path(__file__).parents[1]
    module, card, golden = load(root / "service" / "weights" / "mnist_cnn.pt")

    for digit in range(10):
        pixels = json.loads((root / "tests" / "data" / f"digit-{digit}.json").read_text())["image"]
        assert int(module(torch.tensor(pixels).view(1, 1, 28, 28)).argmax()) == digit
    assert card["metrics"]["test_accuracy"] >= 0.995
    assert card["dataset"]["train_images"] == 60_000
    assert sorted(set(golden["labels"].tolist())) == list(range(10))


def test_missing_data_ends_the_command_with_one_line(tmp_path: Path) -> None:
    finished = train("--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))

    assert finished.returncode == 1
    assert finished.stderr.startswith("training: ")
    assert finished.stderr.endswith(
        "is missing; leave out --data to download MNIST, or name the folder above MNIST/raw\n"
    )
    assert len(finished.stderr.splitlines()) == 1


def test_truncated_data_is_refused(tmp_path: Path) -> None:
    folder = unpack_sample(tmp_path)
    images = folder / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])

    with pytest.raises(TrainingError, match="313,516 bytes, its header promises 313,616; delete it"):
        load_mnist(folder, download=False)


def test_images_without_their_labels_are_refused(tmp_path: Path) -> None:
    folder = unpack_sample(tmp_path)
    raw = folder / "MNIST" / "raw"
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())

    with pytest.raises(TrainingError, match="400 train images but 200 labels"):
        load_mnist(folder, download=False)


def test_altered_mnist_is_refused_unless_asked_for(tmp_path: Path) -> None:
    folder = unpack_sample(tmp_path)
    raw = folder / "MNIST" / "raw"
    count = (10_000).to_bytes(4, "big")
    images = (raw / "t10k-images-idx3-ubyte").read_bytes()
    (raw / "t10k-images-idx3-ubyte").write_bytes(images[:4] + count + images[8:16] + 50 * images[16:])
    labels = (raw / "t10k-labels-idx1-ubyte").read_bytes()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(labels[:4] + count + 50 * labels[8:])

    with pytest.raises(TrainingError, match=r"differs from MNIST's .* or pass --any-data"):
        load_mnist(folder, download=False)
    assert len(load_mnist(folder, download=False, check=False).test) == 10_000


def test_validation_split_is_always_the_same(sample: Path) -> None:
    digits = load_mnist(sample, download=False).train

    learning, validation = split(digits, 100)

    assert (len(learning), len(validation)) == (300, 100)
    assert torch.equal(split(digits, 100)[1].images, validation.images)
    with pytest.raises(TrainingError, match="--validation 400 of 400 training images leaves none"):
        split(digits, 400)


@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda:7", "--device cuda:7: "), ("abacus", "--device abacus is no device")],
)
def test_absent_device_is_refused(name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        choose_device(name)


def test_unwritable_output_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(TrainingError, match="choose another --out"):
        make_folder(tmp_path / "file" / "out")


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / ".file.part").symlink_to("/dev/full")

    with pytest.raises(TrainingError, match=r"cannot write .*: No space left on device; choose another"):
        write_bytes(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"old"
