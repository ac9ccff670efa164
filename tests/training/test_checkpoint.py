"""The state that a run leaves after each epoch, and when `--resume` refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training import TrainingError, checkpoint
from training.augment import AugmentedBatches
from training.data import Digits
from training.model import DigitNet
from training.recipe import Recipe
from training.train import Trainer

CPU = torch.device("cpu")


def trainer_of(digits: Digits, recipe: Recipe) -> Trainer:
    batches = AugmentedBatches(digits, recipe, device=CPU)
    return Trainer(DigitNet(), batches, recipe, device=CPU)


def test_resume_with_other_options_is_refused(digits: Digits, tmp_path: Path) -> None:
    checkpoint.save(trainer_of(digits, Recipe()), tmp_path / "student-1.state")
    trainer = trainer_of(digits, Recipe(lr=0.5))

    with pytest.raises(
        TrainingError, match=f"was trained with lr {Recipe().lr}; give the same, or start again with --force"
    ):
        checkpoint.resume(trainer, tmp_path / "student-1.state")


def test_resume_from_a_broken_file_is_refused(digits: Digits, tmp_path: Path) -> None:
    (tmp_path / "student-1.state").write_bytes(b"PK broken")

    with pytest.raises(TrainingError, match="start again with --force"):
        checkpoint.resume(trainer_of(digits, Recipe()), tmp_path / "student-1.state")


def test_resume_with_another_network_is_refused(digits: Digits, tmp_path: Path) -> None:
    trainer = trainer_of(digits, Recipe())
    other = Trainer(DigitNet(((8, 6, 2, 0),)), trainer.batches, Recipe(), device=CPU)
    checkpoint.save(other, tmp_path / "student-1.state")

    with pytest.raises(
        TrainingError, match="is of another network; choose another --out, or start again with --force"
    ):
        checkpoint.resume(trainer, tmp_path / "student-1.state")
