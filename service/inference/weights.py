"""The weights file as it lies on disk: read within bounds, and taken apart.

A weights file is a TorchScript archive (``torch.jit.save``), which is a ZIP file. Two extra files travel
inside it: ``model.json``, the model card, and ``golden.npz``, the golden cases. All is checked before PyTorch
sees a byte, and Python unpickles nothing.

TorchScript itself is a program: it computes what its author wrote. Take weights from whom you would take
code, and pin their SHA-256 where others can write the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.errors import InvalidModel
from service.files import open_file, read_file
from service.inference.card import CARD, Card, read_card
from service.inference.golden import DAMAGE, GOLDEN, Golden, read_golden

MAX_FILE_BYTES = 1 << 30
MAX_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file's bytes, their SHA-256 in hexadecimal, and what travels beside the module."""

    data: bytes
    sha256: str
    card: Card
    golden: Golden


def read_weights(
    path: Path, *, sha256: str = "", min_accuracy: float | None = None, max_bytes: int = MAX_FILE_BYTES
) -> Weights:
    """Read a weights file, or the one in a folder.

    ``sha256`` is the digest that it must have, or empty; ``min_accuracy`` the least test accuracy that its
    card must say, or None.

    Raises:
        InvalidModel: it can't be found or read, is too large, not the pinned file, no archive, cut short or
            damaged, lacks its card or its golden cases, or is not accurate enough; the message names it.
    """
    path = find_file(path)
    try:
        data = _read(path, max_bytes)
        digest = hashlib.sha256(data).hexdigest()
        if sha256 and digest != sha256.lower():
            raise InvalidModel(f"has SHA-256 {digest}, but {sha256.lower()} is pinned")
        card, golden = _cases(io.BytesIO(data), max_bytes)
        if min_accuracy is not None:
            card.check_accuracy(min_accuracy)
        return Weights(data, digest, card, golden)
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None


def read_cases(path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> tuple[Card, Golden]:
    """Read the card and the golden cases alone, in little memory however large the file is.

    Raises:
        InvalidModel: as ``read_weights``.
    """
    path = find_file(path)
    try:
        with _reading(), open_file(path) as file:
            _check_size(os.fstat(file.fileno()).st_size, max_bytes)
            return _cases(file, max_bytes)
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None


def find_file(path: Path) -> Path:
    """Return the weights file that a path means: the file itself, or the only ``*.pt`` of a folder.

    KServe puts a model into a folder, under whatever name it has in the storage.

    Raises:
        InvalidModel: the folder has none, or several; the message names what is there.
    """
    try:
        # What begins with a dot is of a copy under way, a ConfigMap's mount or a file manager.
        names = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
    except OSError:
        return path  # no folder, or one that can't be read: reading it says so
    found = [name for name in names if name.endswith(".pt")]
    if len(found) == 1:
        return path / found[0]
    if found:
        what = f"{len(found)} weights files ({_listed(found)})"
    else:
        what = "no weights file (*.pt)" + (f" but {_listed(names)}" if names else "")
    raise InvalidModel(f"{path} is a folder with {what}; set MODEL_PATH to one file, or leave one in it")


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_NAMES_SHOWN
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def file_sha256(path: Path, max_bytes: int = MAX_FILE_BYTES) -> str:
    """Return the SHA-256 of a weights file in hexadecimal.

    Raises:
        InvalidModel: it can't be read, or is too large.
    """
    path = find_file(path)
    try:
        return hashlib.sha256(_read(path, max_bytes)).hexdigest()
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None


def _read(path: Path, max_bytes: int) -> bytes:
    with _reading():
        data = read_file(path, max_bytes)
    _check_size(len(data), max_bytes)
    return data


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidModel(f"can't be read: {error.strerror}; set MODEL_PATH to a weights file") from None


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise InvalidModel(f"is larger than {max_bytes} bytes, the most that it may have (MAX_MODEL_BYTES)")


def _cases(file: BinaryIO, max_bytes: int) -> tuple[Card, Golden]:
    extra = _extra_files(file, max_bytes)
    card = read_card(extra[CARD])
    return card, _golden(extra[GOLDEN], card, max_bytes)


def _extra_files(file: BinaryIO, max_bytes: int) -> dict[str, bytes]:
    with _open(file, "a TorchScript archive", max_bytes) as archive:
        members = {Path(info.filename).name: info for info in archive.infolist() if _is_extra(info)}
        for name in (CARD, GOLDEN):
            if name not in members:
                raise InvalidModel(f"carries no {name}; `python -m training.package` adds it to a model")
        try:
            # PyTorch is built to skip the checksums.
            if damaged := archive.testzip():
                raise InvalidModel(f"is damaged: the checksum of {damaged} is wrong")
            return {name: archive.read(members[name]) for name in (CARD, GOLDEN)}
        except DAMAGE as error:
            raise InvalidModel(f"is damaged: {error}") from None


def _is_extra(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith((f"/extra/{CARD}", f"/extra/{GOLDEN}"))


def _golden(data: bytes, card: Card, max_bytes: int) -> Golden:
    try:
        _open(io.BytesIO(data), "an .npz file", max_bytes).close()
    except InvalidModel as error:
        raise InvalidModel(f"has a {GOLDEN} that can't be read: {error}") from None
    return read_golden(data, card)


def _open(file: BinaryIO, kind: str, max_bytes: int) -> zipfile.ZipFile:
    """Open a ZIP file that claims to unpack to no more than the bound; readers stop at what it claims."""
    if file.read(4) != b"PK\x03\x04":
        raise InvalidModel(f"is not {kind}")
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except DAMAGE:
        raise InvalidModel(f"is not {kind}, or it is cut short") from None
    # Where the end is missing, what is found is the directory of an archive inside.
    if not members or min(info.header_offset for info in members) > 0:
        raise InvalidModel(f"is not {kind}, or it is cut short")
    unpacked = sum(info.file_size for info in members)
    if unpacked > max_bytes:
        raise InvalidModel(f"claims to unpack to {unpacked} bytes; the most is {max_bytes} (MAX_MODEL_BYTES)")
    return archive
