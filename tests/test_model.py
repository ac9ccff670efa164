"""Weights files: what is taken, and what is refused in which words."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from service import inspection
from service.archive import MAX_FILE_BYTES, InvalidModel
from service.model import WARM_UP_CALLS, load_model
from service.settings import BUNDLED_MODEL
from tests import weights


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


def refusal(path, **options):
    """What is wrong with a file, in the words of the service, the path left out."""
    with pytest.raises(InvalidModel) as caught:
        load_model(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def golden(**changes):
    """Golden cases of the default model, some arrays replaced; None leaves one out."""
    arrays = {**weights.golden_cases(weights.constant(0)), **changes}
    return weights.npz(**{name: array for name, array in arrays.items() if array is not None})


def test_a_good_file_is_loaded(path):
    weights.write(path, weights.constant(7), version="abc")

    model = load_model(path, batch_sizes=(1, 4))
    with torch.inference_mode():
        logits = model.logits(np.zeros((4, 784), np.float32))

    assert (model.card.name, model.card.version) == ("tiny", "abc")
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert logits.argmax(axis=1).tolist() == [7, 7, 7, 7]


def test_warming_up_takes_one_batch_a_step(path):
    model = load_model(weights.write(path), batch_sizes=(1, 2, 8))

    with torch.inference_mode():
        assert list(model.warm_up()) == 3 * WARM_UP_CALLS * [None]


def test_every_golden_case_is_in_a_batch_of_every_size(model):
    for size in (1, 8, 64):
        batches = [logits for _, logits in model.golden.batches(size)]

        assert {len(batch) for batch in batches} == {size}
        np.testing.assert_array_equal(
            np.concatenate(batches)[: len(model.golden.logits)], model.golden.logits
        )


def test_what_is_no_file(tmp_path):
    missing = "can't be read: No such file or directory; set MODEL_PATH to a weights file"
    assert refusal(tmp_path / "missing.pt") == missing
    assert refusal(tmp_path) == "can't be read: Is a directory; set MODEL_PATH to a weights file"


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

    assert refusal(path) == "is larger than 16777216 bytes, the most that a weights file may have"


def test_an_archive_that_would_unpack_to_more_than_the_limit(path):
    path.write_bytes(zipped({"x/code": bytes(20_000_000)}))
    assert path.stat().st_size < 100_000

    assert refusal(path) == "claims to unpack to 20000000 bytes; the most is 16777216"


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

    assert refusal(path) == f"carries no {name}; `python -m training` writes it into the file"


@pytest.mark.parametrize(
    ("card", "message"),
    [
        pytest.param(b'{"name": "\xff"}', "that can't be read: 'utf-8' codec can't decode", id="utf-8"),
        pytest.param(b"{", "that can't be read: Expecting property name", id="cut short"),
        pytest.param(b"[" * 100_000, "that can't be read: maximum recursion depth exceeded", id="nested"),
        pytest.param(b'["mnist"]', "that is no object", id="list"),
        pytest.param(b'{"version": "1"}', "without a name; it is a text of at most 100", id="no name"),
        pytest.param(b'{"name": "x", "version": 1}', "without a version; it is a text of", id="number"),
        pytest.param(
            b'{"name": "x", "version": "%s"}' % (b"1" * 101), "without a version; it is a text", id="endless"
        ),
    ],
)
def test_a_card_that_says_nothing(path, card, message):
    weights.write(path, card=card)

    assert refusal(path).startswith(f"has a model.json {message}")


def test_a_card_of_another_format(path):
    weights.write(path, card=b'{"format": 2, "name": "x", "version": "1"}')

    assert refusal(path) == "has format 2; this service reads format 1"


def npy_that_claims_a_terabyte():
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1275510204, 28, 28), }"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        pytest.param(b"not a zip file", "a golden.npz that can't be read: is not an .npz file", id="rubbish"),
        pytest.param(
            golden(images=np.array([{}, {}])),
            "a golden.npz that can't be read: Object arrays cannot be loaded when allow_pickle=False",
            id="pickle",
        ),
        pytest.param(
            golden(logits=None), "a golden.npz that can't be read: 'logits is not a file in", id="no logits"
        ),
        pytest.param(
            zipped({"images.npy": bytes(20_000_000)}),
            "a golden.npz that can't be read: claims to unpack to 20000000 bytes",
            id="bomb",
        ),
        pytest.param(
            zipped({"images.npy": npy_that_claims_a_terabyte()}),
            "a golden.npz that can't be read: ",
            id="terabyte",
        ),
        pytest.param(zipped({"images.npy": b"", "logits.npy": b""}), "golden images |S", id="no arrays"),
        pytest.param(
            golden(images=np.zeros((3, 28, 28), np.float32)),
            "golden images float32 [3, 28, 28]; expected uint8 [3, 28, 28]",
            id="float images",
        ),
        pytest.param(
            golden(images=np.zeros((3, 784), np.uint8)),
            "golden images uint8 [3, 784]; expected uint8 [3, 28, 28]",
            id="flat images",
        ),
        pytest.param(
            golden(logits=np.zeros((3, 10))),
            "golden logits float64 [3, 10]; expected float32 [3, 10]",
            id="double logits",
        ),
        pytest.param(
            golden(logits=np.zeros((2, 10), np.float32)),
            "golden logits float32 [2, 10]; expected float32 [3, 10]",
            id="fewer logits",
        ),
        pytest.param(
            golden(images=np.zeros((0, 28, 28), np.uint8), logits=np.zeros((0, 10), np.float32)),
            "no golden cases; nothing would prove that the model computes what it should",
            id="none",
        ),
    ],
)
def test_golden_cases_that_prove_nothing(path, cases, message):
    weights.write(path, golden=cases)

    assert refusal(path).startswith(f"has {message}")


@pytest.mark.parametrize(("logit", "difference"), [(5.5, "0.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_model_that_disagrees_with_its_golden_cases(path, logit, difference):
    logits = weights.golden_cases(weights.constant(0))["logits"].copy()
    logits[2, 0] = logit
    weights.write(path, golden=golden(logits=logits))

    assert refusal(path) == f"disagrees with its golden cases: a logit is off by {difference}"


class Double(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :10].double()


class Pair(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


class TwoInputs(torch.nn.Module):
    def forward(self, images: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :10] + more


class Refuses(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[0] == 4:
            raise ValueError("four is unlucky")
        return images.flatten(1)[:, :10]


def linear(inputs, outputs):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(inputs, outputs))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        pytest.param(linear(1024, 10), "does not take float32 [1, 1, 28, 28]: mat1 and mat2", id="32 x 32"),
        pytest.param(linear(784, 10).double(), "does not take float32 [1, 1, 28, 28]: ", id="takes double"),
        pytest.param(TwoInputs(), "does not take float32 [1, 1, 28, 28]: ", id="two inputs"),
        pytest.param(linear(784, 9), "gives float32 [1, 9]; expected float32 [1, 10]", id="nine classes"),
        pytest.param(torch.nn.ReLU(), "gives float32 [1, 1, 28, 28]; expected float32 [1, 10]", id="image"),
        pytest.param(Double(), "gives float64 [1, 10]; expected float32 [1, 10]", id="gives double"),
        pytest.param(Pair(), "gives a tuple; expected a tensor, float32 [N, 10]", id="pair"),
    ],
)
def test_a_model_of_another_shape(path, module, message):
    weights.write(path, module, golden=golden())

    assert refusal(path).startswith(message)


def test_a_model_that_refuses_one_of_the_batch_sizes(path):
    weights.write(path, Refuses())

    load_model(path, batch_sizes=(1, 2))
    assert refusal(path, batch_sizes=(1, 2, 4)).startswith("does not take float32 [4, 1, 28, 28]: ")


def test_inspecting_the_bundled_weights_prints_the_card_the_proof_and_the_times(capsys):
    assert inspection.main([str(BUNDLED_MODEL)]) == 0

    printed = capsys.readouterr().out
    card, end = json.JSONDecoder().raw_decode(printed)
    digest, proof, times = printed[end:].strip().splitlines()
    assert card["name"] == "mnist-cnn"
    assert digest == f"sha256: {hashlib.sha256(BUNDLED_MODEL.read_bytes()).hexdigest()}"
    assert proof.startswith("golden cases: 20 agree at batch sizes 1, 2, 4, 8, 16, 32")
    assert times.startswith("µs per image, one thread: ")
    assert [word for word in times.split() if word.strip(",").isdecimal()][1::2] == ["1,", "8,", "32"]


def test_inspecting_another_file_than_the_pinned_one_fails(capsys):
    assert inspection.main([str(BUNDLED_MODEL), "--sha256", "0" * 64]) == 1

    assert capsys.readouterr().err.endswith(f", but {'0' * 64} is pinned\n")


def test_the_command_fails_with_one_line(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "service.model", "setup.cfg"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "setup.cfg is not a TorchScript archive\n"
