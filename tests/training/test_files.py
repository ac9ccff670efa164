"""Writing results: a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import TrainingError
from training.files import write_bytes


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / ".file.part").symlink_to("/dev/full")

    with pytest.raises(TrainingError, match=r"cannot write .*: No space left on device; choose another"):
        write_bytes(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"old"
