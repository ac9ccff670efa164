"""What is refused as MNIST, and the split that never changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.training_sample import unpack_sample
from training import TrainingError
from training.data import load_mnist, split


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
