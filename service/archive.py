"""The weights file as it lies on disk: read within bounds, and taken apart.

A weights file is a TorchScript archive (``torch.jit.save``), which is a ZIP file. Two extra files travel
inside it: ``model.json``, the model card, and ``golden.npz``, real test images with the logits that the
trainer got for them. All is checked before PyTorch sees a byte, and nothing is ever unpickled by Python.

TorchScript itself is a program: it computes what its author wrote. Take weights from whom you would take
code, and pin their SHA-256 where others can write the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.pixels import SIDE

CARD, GOLDEN = "model.json", "golden.npz"
FORMAT = 1
CLASSES = 10
MAX_FILE_BYTES = MAX_UNPACKED_BYTES = 16 << 20
MAX_NAME_LENGTH = 100

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # what reading a bad ZIP file raises


class InvalidModel(Exception):
    """The weights file can't be served; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a weights file says of itself; ``details`` is the whole of its ``model.json``."""

    name: str
    version: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """Real test images, shape (K, 1, 28, 28), with the logits that the trainer got, shape (K, 10)."""

    images: torch.Tensor
    logits: NDArray[np.float32]

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, NDArray[np.float32]]]:
        """Yield batches of ``size`` images, with their logits, until each case has been in one.

        The first cases fill the last batch up.
        """
        for start in range(0, len(self.logits), size):
            places = np.arange(start, start + size) % len(self.logits)
            yield self.images[places], self.logits[places]


@dataclass(frozen=True, slots=True)
class Archive:
    """A weights file's content, its SHA-256 in hexadecimal, and what travels beside the module."""

    data: bytes
    sha256: str
    card: Card
    golden: Golden

    def module(self) -> torch.jit.ScriptModule:
        """Return a new copy of the module.

        Raises:
            InvalidModel: PyTorch finds no TorchScript in the archive.
        """
        try:
            with warnings.catch_warnings():
                # TorchScript is this project's file format by choice; PyTorch deprecates torch.jit.
                warnings.filterwarnings("ignore", message="`torch.jit")
                load: Any = torch.jit.load
                module: torch.jit.ScriptModule = load(io.BytesIO(self.data), map_location="cpu")
        except Exception as error:  # whatever PyTorch makes of what may be anything
            reason = (str(error) or repr(error)).splitlines()[0]
            raise InvalidModel(f"holds no TorchScript that can be loaded: {reason}") from None
        return module.eval()


def read_archive(path: Path, *, sha256: str = "") -> Archive:
    """Read a weights file; ``sha256`` is the digest that it must have, in hexadecimal, or empty.

    Raises:
        InvalidModel: it can't be read, is too large, not the pinned file, no archive, cut short or damaged,
            or lacks its card or its golden cases.
    """
    data = _read(path)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256.lower():
        raise InvalidModel(f"has SHA-256 {digest}, but {sha256.lower()} is pinned")
    extra = _extra_files(data)
    return Archive(data, digest, _read_card(extra[CARD]), _read_golden(extra[GOLDEN]))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a weights file in hexadecimal.

    Raises:
        InvalidModel: it can't be read, or is too large.
    """
    try:
        return hashlib.sha256(_read(path)).hexdigest()
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidModel(f"can't be read: {error.strerror}; set MODEL_PATH to a weights file") from None
    if len(data) > MAX_FILE_BYTES:
        raise InvalidModel(f"is larger than {MAX_FILE_BYTES} bytes, the most that a weights file may have")
    return data


def _extra_files(data: bytes) -> dict[str, bytes]:
    with _open(data, "a TorchScript archive") as archive:
        members = {Path(info.filename).name: info for info in archive.infolist() if _is_extra(info)}
        for name in (CARD, GOLDEN):
            if name not in members:
                raise InvalidModel(f"carries no {name}; `python -m training` writes it into the file")
        try:
            # PyTorch is built to skip the checksums.
            if damaged := archive.testzip():
                raise InvalidModel(f"is damaged: the checksum of {damaged} is wrong")
            return {name: archive.read(members[name]) for name in (CARD, GOLDEN)}
        except _DAMAGE as error:
            raise InvalidModel(f"is damaged: {error}") from None


def _is_extra(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith((f"/extra/{CARD}", f"/extra/{GOLDEN}"))


def _open(data: bytes, kind: str) -> zipfile.ZipFile:
    """Open a ZIP file that claims to unpack to no more than the bound; readers stop at what it claims."""
    if not data.startswith(b"PK\x03\x04"):
        raise InvalidModel(f"is not {kind}")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except _DAMAGE:
        raise InvalidModel(f"is not {kind}, or it is cut short") from None
    # Where the end is missing, what is found is the directory of an archive inside.
    if not members or min(info.header_offset for info in members) > 0:
        raise InvalidModel(f"is not {kind}, or it is cut short")
    unpacked = sum(info.file_size for info in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise InvalidModel(f"claims to unpack to {unpacked} bytes; the most is {MAX_UNPACKED_BYTES}")
    return archive


def _read_card(text: bytes) -> Card:
    try:
        details = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"has a {CARD} that can't be read: {error}") from None
    if not isinstance(details, dict):
        raise InvalidModel(f"has a {CARD} that is no object")
    if details.get("format", FORMAT) != FORMAT:
        raise InvalidModel(f"has format {details['format']!r}; this service reads format {FORMAT}")
    for key in ("name", "version"):
        value = details.get(key)
        # Both go into every answer, and become labels of a metric.
        if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_LENGTH:
            raise InvalidModel(
                f"has a {CARD} without a {key}; it is a text of at most {MAX_NAME_LENGTH} characters"
            )
    return Card(details["name"], details["version"], details)


def _read_golden(data: bytes) -> Golden:
    try:
        _open(data, "an .npz file").close()
        with np.load(io.BytesIO(data), allow_pickle=False) as cases:
            images, logits = np.asarray(cases["images"]), np.asarray(cases["logits"])
    except (*_DAMAGE, InvalidModel, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise InvalidModel(f"has a {GOLDEN} that can't be read: {error}") from None
    for name, array, dtype, shape in (
        ("images", images, "uint8", (*images.shape[:1], SIDE, SIDE)),
        ("logits", logits, "float32", (*images.shape[:1], CLASSES)),
    ):
        if array.dtype != dtype or array.shape != shape:
            found = f"{array.dtype} {list(array.shape)}"
            raise InvalidModel(f"has golden {name} {found}; expected {dtype} {list(shape)}")
    if not len(images):
        raise InvalidModel("has no golden cases; nothing would prove that the model computes what it should")
    return Golden(torch.from_numpy(images).float().div(255).view(-1, 1, SIDE, SIDE), logits)
