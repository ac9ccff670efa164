"""What is refused as MNIST, and the split that never changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.training_sample import SAMPLE, unpack_sample
from training import TrainingError
from training.data import load_mnist, split


def test_truncated_data_is_refused(tmp_path: Path) -> None:
    folder = unpack_sample(tmp_path)
    images = folder / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])

    with pytest.raises(TrainingError, match="313,516 bytes, its header promises 313,616; delete it"):
        load_mnist(folder, download=False)


def test_packed_files_are_read_as_distributed(sample: Path, tmp_path: Path) -> None:
    """In the folder itself, or where torchvision keeps them; one of the four may be unpacked."""
    unpacked = load_mnist(sample, download=False)
    for packed in (SAMPLE / "MNIST" / "raw").glob("*.gz"):
        shutil.copy(packed, tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    shutil.copy(sample / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", tmp_path)

    for folder in (SAMPLE, tmp_path):
        packed = load_mnist(folder, download=False)

        assert packed.sha256 == unpacked.sha256
        for part in ("train", "test"):
            assert torch.equal(getattr(packed, part).images, getattr(unpacked, part).images)
            assert torch.equal(getattr(packed, part).labels, getattr(unpacked, part).labels)
    assert packed.train.images.shape == (400, 1, 28, 28)
    assert packed.train.labels.dtype == torch.int64


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-100], lambda _: b"not gzip", lambda data: data[:200] + data[210:]]
)
def test_a_damaged_packed_file_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    for packed in (SAMPLE / "MNIST" / "raw").glob("*.gz"):
        shutil.copy(packed, tmp_path)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    images.write_bytes(damage(images.read_bytes()))

    with pytest.raises(
        TrainingError, match=r"train-images-idx3-ubyte\.gz is no intact gzip file: .*; fetch it"
    ):
        load_mnist(tmp_path, download=False)


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
