"""Golden cases, ``golden.npz`` in a weights file: real images, and what the trainer's model made of them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidModel
from service.inference.card import Card

GOLDEN = "golden.npz"
# Between CPUs, kernels differ in the order of their sums; the same weights agree far closer than this.
LOGIT_TOLERANCE = 1e-3
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # what reading a bad ZIP file raises


@dataclass(frozen=True, slots=True)
class Golden:
    """Images, shape (K, size), float32 in 0..1; the places of their classes, (K,); their logits, (K, C)."""

    images: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]
    logits: NDArray[np.float32]

    def batches(self, size: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yield batches of ``size`` images, with their logits, until each case has been in one.

        The first cases fill the last batch up.
        """
        for start in range(0, len(self.logits), size):
            places = np.arange(start, start + size) % len(self.logits)
            yield self.images[places], self.logits[places]


def compare(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return by how much a logit differs from the golden one, at most.

    Raises:
        InvalidModel: that is more than two CPUs can differ.
    """
    worst = float(np.abs(found - expected).max())
    if not worst <= LOGIT_TOLERANCE:  # written so that NaN fails, too
        raise InvalidModel(f"disagrees with its golden cases: a logit is off by {worst:.3g}")
    return worst


def read_golden(data: bytes, card: Card) -> Golden:
    """Read a ``golden.npz`` of a model with this card, without unpickling anything.

    Raises:
        InvalidModel: it can't be read, has arrays of other types or shapes, or no case.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as cases:
            images, labels, logits = (np.asarray(cases[name]) for name in ("images", "labels", "logits"))
    except (*DAMAGE, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise InvalidModel(f"has a {GOLDEN} that can't be read: {error}") from None
    labels_type = "uint8" if card.details.get("format", 1) == 1 else "int64"
    for name, array, dtype, shape in (
        ("images", images, "uint8", (*images.shape[:1], *card.shape.sides)),
        ("labels", labels, labels_type, images.shape[:1]),
        ("logits", logits, "float32", (*images.shape[:1], len(card.classes))),
    ):
        if array.dtype != dtype or array.shape != shape:
            found = f"{array.dtype} {list(array.shape)}"
            raise InvalidModel(f"has golden {name} {found}; expected {dtype} {list(shape)}")
    if not len(images):
        raise InvalidModel("has no golden cases; nothing would prove that the model computes what it should")
    return Golden(images.reshape(-1, card.shape.size).astype(np.float32) / np.float32(255), labels, logits)
