"""The table of epochs, and TensorBoard's events."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from training import TrainingError
from training.epoch_log import EpochLog
from training.train import Epoch

FIRST = Epoch(1, 0.5, 0.8, 0.01)
SECOND = Epoch(2, 0.25, 0.9, 0.005, validation_loss=0.125, validation_accuracy=0.95)


def test_each_epoch_is_a_row_at_once(tmp_path: Path) -> None:
    log = EpochLog(tmp_path)

    log.add("teacher-1", FIRST)

    header = "network,epoch,loss,accuracy,lr,validation_loss,validation_accuracy\n"
    assert (tmp_path / "metrics.csv").read_text() == header + "teacher-1,1,0.5,0.8,0.01,,\n"
    log.add("teacher-1", SECOND)
    assert (tmp_path / "metrics.csv").read_text() == (
        header + "teacher-1,1,0.5,0.8,0.01,,\nteacher-1,2,0.25,0.9,0.005,0.125,0.95\n"
    )


def test_tensorboard_that_is_not_there_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)

    with pytest.raises(
        TrainingError, match=r"^--tensorboard needs the package tensorboard, which is not inst"
    ):
        EpochLog(tmp_path, tensorboard=True)

    assert list(tmp_path.iterdir()) == []


def test_tensorboard_shows_each_epoch_once_after_a_resumed_run(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    EpochLog(tmp_path, tensorboard=True).add("student-1", FIRST)
    log = EpochLog(tmp_path, tensorboard=True)
    log.add("student-1", FIRST)
    log.add("student-1", SECOND)

    events = reader.EventAccumulator(str(tmp_path / "tensorboard")).Reload()

    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert [(each.step, each.value) for each in events.Scalars("student-1/loss")] == [(1, 0.5), (2, 0.25)]
    assert [each.step for each in events.Scalars("student-1/validation_loss")] == [2]
