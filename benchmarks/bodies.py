"""Request bodies made of real MNIST test images.

A JSON body is what `json.dumps` writes, without spaces, for pixels k/255 rounded to four decimals:
`{"image":[0.0,0.0,...,0.4941,...]}`, 3.5 KB on average. An octet-stream body is the 784 bytes of the image.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.check import expected_digits
from benchmarks.workload import Bodies, Workload

DATA = Path(__file__).parent.parent / "tests" / "data"
PIXELS = 784
COUNT = 256


@dataclass(frozen=True)
class Digits:
    """Test images uint8 `[N, 28, 28]` (0..255, white ink on black) and their labels uint8 `[N]`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Body:
    """One kind of request body: its content type, and how an image is written in it."""

    content_type: str
    encode: Callable[[NDArray[np.uint8]], bytes]


def load_digits(data: Path = DATA, count: int = COUNT) -> Digits:
    """Read the first `count` test images from the IDX files that `torchvision.datasets.MNIST(data)` keeps.

    `tests/data` holds a sample in the same files, cut from the test set alone: where its test images end, its
    training images go on, so that the sample gives the same digits as the whole data set.
    """
    images, labels = _read_idx(data, "t10k")
    if len(images) < count:
        more_images, more_labels = _read_idx(data, "train")
        images, labels = np.concatenate([images, more_images]), np.concatenate([labels, more_labels])
    if len(images) < count:
        raise ValueError(f"{data} holds {len(images)} images, and {count} are needed")
    return Digits(images[:count], labels[:count])


def json_body(image: NDArray[np.uint8]) -> bytes:
    """Encode one image as the JSON that `POST /predict` takes."""
    pixels = [round(int(value) / 255, 4) for value in image.reshape(PIXELS)]
    return json.dumps({"image": pixels}, separators=(",", ":")).encode()


def octet_body(image: NDArray[np.uint8]) -> bytes:
    """Encode one image as 784 bytes."""
    return image.tobytes()


BODIES = {"json": Body("application/json", json_body), "octet": Body("application/octet-stream", octet_body)}


def digit_workload(weights: Path, digits: Digits) -> Workload:
    """Make the bodies of all images, and ask the weights file what they are."""
    expected = expected_digits(weights, digits.images)
    right = sum(one == int(label) for one, label in zip(expected, digits.labels, strict=True))
    count = len(expected)
    return Workload(
        weights,
        {name: encoded(name, digits.images) for name in BODIES},
        list(expected),
        {"weights": f"{weights.name}, {right} of these {count} images classified as labelled"},
    )


def encoded(name: str, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Bodies:
    """Encode images in one kind of body."""
    body = BODIES[name]
    return Bodies(body.content_type, [body.encode(image) for image in images])


def _read_idx(data: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    raw = data / "MNIST" / "raw"
    images = np.frombuffer(_read(raw / f"{name}-images-idx3-ubyte"), np.uint8, offset=16)
    labels = np.frombuffer(_read(raw / f"{name}-labels-idx1-ubyte"), np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def _read(path: Path) -> bytes:
    packed = path.with_name(path.name + ".gz")
    return path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
