"""The golden cases in a weights file: what they prove, and what proves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import models, weights
from tests.support.weights import golden, refusal, zipped


def test_every_golden_case_is_in_a_batch_of_every_size(model):
    for size in (1, 8, 64):
        batches = [logits for _, logits in model.golden.batches(size)]

        assert {len(batch) for batch in batches} == {size}
        np.testing.assert_array_equal(
            np.concatenate(batches)[: len(model.golden.logits)], model.golden.logits
        )


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
        pytest.param(
            zipped({"images.npy": b"", "labels.npy": b"", "logits.npy": b""}),
            "golden images |S",
            id="no arrays",
        ),
        pytest.param(
            golden(labels=None), "a golden.npz that can't be read: 'labels is not a file in", id="no labels"
        ),
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
            golden(
                images=np.zeros((0, 28, 28), np.uint8),
                labels=np.zeros(0, np.uint8),
                logits=np.zeros((0, 10), np.float32),
            ),
            "no golden cases; nothing would prove that the model computes what it should",
            id="none",
        ),
    ],
)
def test_golden_cases_that_prove_nothing(path, cases, message):
    weights.write(path, golden=cases)

    assert refusal(path, max_bytes=16 << 20).startswith(f"has {message}")


@pytest.mark.parametrize(("logit", "difference"), [(5.5, "0.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_model_that_disagrees_with_its_golden_cases(path, logit, difference):
    logits = weights.golden_cases(models.constant(0))["logits"].copy()
    logits[2, 0] = logit
    weights.write(path, golden=golden(logits=logits))

    assert refusal(path) == f"disagrees with its golden cases: a logit is off by {difference}"
