"""MNIST from its four files, checked, as tensors; its validation split; batches of it."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from training import TrainingError

# sha256 of the four files of the original MNIST, unpacked.
OFFICIAL = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}
OFFICIAL_COUNTS = {"t10k": 10_000, "train": 60_000}
SPLIT_SEED = 2015


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, 28, 28) uint8 and labels (N,) int64: a digit, or `model.NO_DIGIT`."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self) -> Tensor:
        """The images as float32 in 0..1."""
        return self.images.float() / 255

    def take(self, indices: Tensor | slice) -> Digits:
        """The images and labels at these indices."""
        return Digits(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """What MNIST calls train and test, with the sha256 over the four raw files in order of name."""

    train: Digits
    test: Digits
    sha256: str


class Batch(NamedTuple):
    """Images (N, 1, 28, 28) float32 in 0..1, labels (N,), and soft labels (N, 11) if there are teachers."""

    images: Tensor
    labels: Tensor
    soft_labels: Tensor | None


class Batches(Protocol):
    """What a trainer reads in each epoch: `image_count` training images, in batches."""

    image_count: int

    def epoch(self, number: int, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """For each tensor of indices, the batch of these images as they look in this epoch, from 1 on."""


def load_mnist(folder: Path, *, download: bool, check: bool = True) -> Dataset:
    """Read MNIST's four files, as they are or packed (.gz), first fetching what is missing if `download`.

    They are in `folder` itself or, as torchvision has it, in `folder`/MNIST/raw. Raises TrainingError if
    files are missing, damaged, shorter than their header says, or, unless `check` is false, as large as the
    original MNIST and yet different from it.
    """
    try:
        if download:
            # Here alone: importing it takes as long as PyTorch, and packaging a model needs none of it.
            from torchvision.datasets import MNIST

            MNIST(str(folder), download=True)
        files = {name: _checked_bytes(_find(folder, name), name, check=check) for name in sorted(OFFICIAL)}
    except OSError as error:
        raise TrainingError(f"cannot read or fetch MNIST in {folder}: {error}") from error
    except RuntimeError as error:
        summary = " ".join(str(error).split())
        raise TrainingError(f"cannot load MNIST from {folder}: {summary}") from error
    digest = hashlib.sha256()
    for content in files.values():
        digest.update(content)
    sets = []
    for name in ("train", "t10k"):
        images = torch.frombuffer(bytearray(files[f"{name}-images-idx3-ubyte"][16:]), dtype=torch.uint8)
        labels = torch.frombuffer(bytearray(files[f"{name}-labels-idx1-ubyte"][8:]), dtype=torch.uint8)
        images = images.reshape(-1, 1, 28, 28)
        if len(images) != len(labels):
            raise TrainingError(f"{folder}: {len(images)} {name} images but {len(labels)} labels")
        sets.append(Digits(images, labels.long()))
    return Dataset(sets[0], sets[1], digest.hexdigest())


def _find(folder: Path, name: str) -> Path:
    """Where the file is; an unpacked one goes before a packed one."""
    raw = folder / "MNIST" / "raw"
    places = [raw / name, raw / f"{name}.gz", folder / name, folder / f"{name}.gz"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise TrainingError(
            f"{name} is missing in {folder} and in {raw}, also as .gz; leave out --data to download MNIST, "
            "or name the folder with its four files"
        )
    return found


def _checked_bytes(path: Path, name: str, *, check: bool) -> bytes:
    """Read an IDX file, unpacked, and compare it with its own header and with the original."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise TrainingError(f"{path} is no intact gzip file: {error}; fetch it again") from error
    dimensions = 3 if "idx3" in name else 1
    if len(data) < 4 + 4 * dimensions or data[:4] != bytes([0, 0, 8, dimensions]):
        raise TrainingError(
            f"{path} is not an IDX file of {dimensions} dimensions; delete it and fetch it again"
        )
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, 4 + 4 * dimensions, 4)]
    if dimensions == 3 and shape[1:] != [28, 28]:
        raise TrainingError(
            f"{path} holds images of {shape[1]} x {shape[2]} pixels; this model reads 28 x 28"
        )
    expected = 4 + 4 * dimensions + math.prod(shape)
    if len(data) != expected:
        raise TrainingError(
            f"{path} has {len(data):,} bytes, its header promises {expected:,}; delete it and fetch it again"
        )
    digest = hashlib.sha256(data).hexdigest()
    if check and shape[0] == OFFICIAL_COUNTS[name.split("-")[0]] and digest != OFFICIAL[name]:
        raise TrainingError(
            f"{path} differs from MNIST's (sha256 {digest[:12]}, expected {OFFICIAL[name][:12]}); "
            "fetch it again, or pass --any-data if it is another data set on purpose"
        )
    return data


def split(digits: Digits, validation: int) -> tuple[Digits, Digits]:
    """Split the images into those to train on and `validation` to choose by, the same in every run."""
    if not 0 <= validation < len(digits):
        raise TrainingError(
            f"--validation {validation} of {len(digits)} training images leaves none to train on"
        )
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return digits.take(order[validation:]), digits.take(order[:validation])
