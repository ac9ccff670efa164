"""The small sample of MNIST, as files and as tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from tests.support.training_sample import unpack_sample
from training.data import Digits, load_mnist


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to pass as --data."""
    return unpack_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def digits(sample: Path) -> Digits:
    """Its 200 test images."""
    return load_mnist(sample, download=False).test


@pytest.fixture(scope="session")
def images(digits: Digits) -> Tensor:
    """The same as pixels (200, 1, 28, 28) in 0..1."""
    return digits.pixels()
