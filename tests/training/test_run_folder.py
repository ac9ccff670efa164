"""What a new run finds in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import TrainingError
from training.run_folder import prepare, saved_epochs


def test_unwritable_output_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(TrainingError, match="choose another --out"):
        prepare(tmp_path / "file" / "out", resume=False, force=False)


def test_a_weights_file_is_never_overwritten_unasked(tmp_path: Path) -> None:
    """Whoever put it there, and whatever else is in the folder."""
    (tmp_path / "mnist_cnn.pt").write_bytes(b"weights")

    with pytest.raises(TrainingError, match=r"holds a finished run; add --resume .*, --force to replace it"):
        prepare(tmp_path, resume=False, force=False)
    for options in ({"resume": True, "force": False}, {"resume": False, "force": True}):
        prepare(tmp_path, **options)

    assert (tmp_path / "mnist_cnn.pt").read_bytes() == b"weights"


def test_a_folder_with_other_files_takes_a_run(tmp_path: Path) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "student-1.state").write_bytes(b"PK broken")

    prepare(tmp_path, resume=False, force=False)

    assert saved_epochs(tmp_path) == ""
