"""The weights file on disk, read within bounds: what is no archive, cut short, damaged or too large."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from service.errors import InvalidModel
from service.inference.model import load_model
from service.inference.weights import MAX_FILE_BYTES, file_sha256, read_weights
from service.settings import BUNDLED_MODEL
from tests.support import weights
from tests.support.weights import golden, refusal, zipped


def test_what_is_no_file(tmp_path):
    missing = "can't be read: No such file or directory; set MODEL_PATH to a weights file"
    assert refusal(tmp_path / "missing.pt") == missing
    empty = "is a folder with no weights file (*.pt); set MODEL_PATH to one file, or leave one in it"
    assert refusal(tmp_path) == empty


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ([".weights.pt", "._weights.pt"], "no weights file (*.pt)"),
        (["model.pt.part", "model.mar"], "no weights file (*.pt) but model.mar, model.pt.part"),
        ([*"gfedcba"], "no weights file (*.pt) but a, b, c, d, e and 2 more"),
        (["b.pt", "a.pt", "c"], "2 weights files (a.pt, b.pt)"),
        ([f"{place}.pt" for place in range(6)], "6 weights files (0.pt, 1.pt, 2.pt, 3.pt, 4.pt and 1 more)"),
    ],
    ids=str,
)
def test_a_folder_without_exactly_one_weights_file(tmp_path, names, what):
    for name in names:
        (tmp_path / name).touch()

    assert refusal(tmp_path) == f"is a folder with {what}; set MODEL_PATH to one file, or leave one in it"


def test_a_folder_with_one_weights_file_stands_for_the_file(path):
    weights.write(path)
    for name in ("config.json", "._weights.pt"):
        (path.parent / name).touch()

    assert read_weights(path.parent).sha256 == file_sha256(path.parent) == file_sha256(path)


def test_a_folder_in_place_of_the_file_leaves_no_descriptor_open(path):
    path.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(10):
        with pytest.raises(InvalidModel):
            read_weights(path.parent)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_wrong_with_the_file_in_a_folder_names_the_file(path):
    path.mkdir()  # called like a weights file

    with pytest.raises(InvalidModel, match=re.escape(f"{path} can't be read: Is a directory; ")):
        read_weights(path.parent)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02}q\x00.", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive(path, content):
    path.write_bytes(content)

    assert refusal(path) == "is not a TorchScript archive"


def test_a_file_that_is_cut_short_anywhere(path):
    whole = BUNDLED_MODEL.read_bytes()
    inner_end = whole.index(b"PK\x05\x06") + 22  # the golden cases are a ZIP file, too, and end here

    for length in [4, 1000, inner_end, len(whole) // 2, len(whole) - 22, len(whole) - 1]:
        path.write_bytes(whole[:length])

        assert refusal(path) == "is not a TorchScript archive, or it is cut short", length


def test_a_file_with_a_flipped_bit(path):
    content = bytearray(weights.write(path).read_bytes())
    content[content.rindex(np.float32(5.0).tobytes()) + 1] ^= 1  # in the bias
    path.write_bytes(content)

    assert refusal(path).startswith("is damaged: the checksum of weights/constants/")


def test_an_archive_without_a_module(path):
    extra = {"x/extra/model.json": b'{"name": "x", "version": "1"}', "x/extra/golden.npz": golden()}
    path.write_bytes(zipped(extra))

    assert refusal(path).startswith("holds no TorchScript that can be loaded: ")


def test_a_file_over_the_limit(path):
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    said = "is larger than {} bytes, the most that it may have (MAX_MODEL_BYTES)"
    assert refusal(path) == said.format(MAX_FILE_BYTES)
    assert refusal(path, max_bytes=1000) == said.format(1000)


def test_an_archive_that_would_unpack_to_more_than_the_limit(path):
    path.write_bytes(zipped({"x/code": bytes(20_000_000)}))
    assert path.stat().st_size < 100_000

    said = "claims to unpack to 20000000 bytes; the most is 16777216 (MAX_MODEL_BYTES)"
    assert refusal(path, max_bytes=16 << 20) == said


def test_an_archive_that_unpacks_to_more_than_it_claims(path):
    members = {"x/extra/model.json": bytes(20_000_000), "x/extra/golden.npz": b""}
    path.write_bytes(zipped(members).replace((20_000_000).to_bytes(4, "little"), (2).to_bytes(4, "little")))

    assert refusal(path) == "is damaged: the checksum of x/extra/model.json is wrong"


def test_another_file_than_the_pinned_one(path):
    digest = hashlib.sha256(weights.write(path).read_bytes()).hexdigest()

    assert load_model(path, sha256=digest.upper()).sha256 == digest
    assert refusal(path, sha256="ab" * 32) == f"has SHA-256 {digest}, but {'ab' * 32} is pinned"


@pytest.mark.parametrize(("left_out", "name"), [("model.json", "model.json"), ("golden.npz", "golden.npz")])
def test_a_file_without_what_proves_it(path, left_out, name):
    extra = {"model.json": b'{"name": "x", "version": "1"}', "golden.npz": golden()}
    del extra[left_out]
    weights.write(path, extra=extra)

    assert refusal(path) == f"carries no {name}; `python -m training.package` adds it to a model"
