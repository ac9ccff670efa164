"""What the tests of the inference layer share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test writes its weights file."""
    return tmp_path / "weights.pt"
