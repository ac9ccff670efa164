"""Teachers, the soft labels that they leave, and the students that share them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from training import TrainingError
from training.data import Digits
from training.distillation import (
    LABELLED_IMAGE,
    Distillation,
    SoftLabelBatches,
    file_name,
    soft_labels,
    write_soft_labels,
)
from training.model import DigitNet
from training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=1, batch_size=50, teachers=1, teacher_epochs=1, views=2)


@pytest.fixture(scope="module")
def teachers() -> list[DigitNet]:
    torch.manual_seed(0)
    return [DigitNet().eval(), DigitNet().eval()]


def test_soft_labels_are_the_mean_of_the_teachers_on_each_view(
    digits: Digits, teachers: list[DigitNet], tmp_path: Path
) -> None:
    path = tmp_path / "soft-labels.npy"
    (tmp_path / ".soft-labels.npy.part").write_bytes(b"left by a run that was killed")

    write_soft_labels(path, digits, teachers, RECIPE)

    batches = SoftLabelBatches(path, digits.labels, device=CPU)
    everything = torch.arange(batches.image_count)
    first, second, third = (next(batches.epoch(number, [everything])) for number in (1, 2, 3))
    assert first.images.shape == (200, 1, 28, 28)
    assert torch.equal(first.labels, digits.labels)
    assert first.soft_labels is not None
    expected = soft_labels(first.images, teachers, RECIPE)
    torch.testing.assert_close(first.soft_labels, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(first.soft_labels.sum(dim=1), torch.ones(200))
    assert not torch.equal(first.images, second.images)
    assert torch.equal(first.images, third.images)
    assert list(tmp_path.iterdir()) == [path]


def test_soft_labels_are_the_same_each_time(digits: Digits, teachers: list[DigitNet], tmp_path: Path) -> None:
    for name in "ab":
        write_soft_labels(tmp_path / name, digits, teachers, RECIPE)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_soft_labels_are_named_after_what_decides_them(digits: Digits, teachers: list[DigitNet]) -> None:
    def name(**changes: object) -> str:
        return file_name(digits, teachers, dataclasses.replace(RECIPE, **changes))  # type: ignore[arg-type]

    assert name() == name(seed=2, epochs=9, lr=0.5)
    others = [name(views=3), name(distillation_temperature=3.0), name(warp=0.1), name(bfloat16=True)]
    others.append(name(low_resolution=0.5))
    assert len({name(), *others}) == 6
    assert name() != file_name(digits, teachers[:1], RECIPE)
    assert name() != file_name(digits.take(slice(100)), teachers, RECIPE)


def test_soft_labels_that_do_not_fit_the_disk_are_refused(
    digits: Digits, teachers: list[DigitNet], tmp_path: Path
) -> None:
    (tmp_path / ".soft-labels.npy.part").symlink_to("/dev/full")

    with pytest.raises(TrainingError, match=r"No space left on device; 2 views of 200 images need 0\.3 MB"):
        write_soft_labels(tmp_path / "soft-labels.npy", digits, teachers, RECIPE)

    assert list(tmp_path.iterdir()) == []


def test_students_of_other_seeds_share_teachers_and_soft_labels(digits: Digits, tmp_path: Path) -> None:
    none = digits.take(slice(0))
    (first,) = Distillation(tmp_path, digits, none, CPU, resume=False).train_students(RECIPE, 1)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (labels,) = tmp_path.glob("soft-labels-*.npy")

    distillation = Distillation(tmp_path, digits, none, CPU, resume=True)
    again, second = distillation.train_students(RECIPE, 2)
    (alone,) = distillation.train_students(dataclasses.replace(RECIPE, seed=2), 1)

    assert np.load(labels, mmap_mode="r").dtype == LABELLED_IMAGE
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in made} == {"student-2.state"}
    assert first.history == again.history
    assert first.history != second.history
    assert second.history == alone.history
