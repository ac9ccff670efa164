"""Compressed bodies: gzip and deflate are decoded within the limit, on every route; nothing else is taken."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.support.http import PREDICT_BODY, SEVEN, post

TENSOR = {"name": "image", "datatype": "FP32", "shape": [1, 784], "data": json.loads(SEVEN)["image"]}
INFER = json.dumps({"inputs": [TENSOR]}).encode()
ROUTES = {
    "/predict": SEVEN,
    "/predict?preview=true": SEVEN,
    "/v2/models/mnist-cnn/infer": INFER,
}


def raw_deflate(body):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("x-gzip", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
    ids=["gzip", "case", "two-members", "deflate", "raw-deflate", "identity"],
)
def test_a_compressed_body_gets_the_answer_of_the_plain_one(live_server, path, encoding, compress):
    body = ROUTES[path]

    plain, compressed = (
        post(live_server, body, path=path),
        post(live_server, compress(body), path=path, **{"Content-Encoding": encoding}),
    )

    assert plain.status_code == 200
    assert compressed.json() == plain.json()


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "punycode", "rot13", "\xe4"])
def test_other_encodings_are_refused_by_name(live_server, path, encoding):
    answer = post(live_server, PREDICT_BODY, path=path, **{"Content-Encoding": encoding})

    assert answer.status_code == 415
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"
    assert "send gzip or deflate" in answer.text


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (gzip.compress(bytes(2 << 20)), 413, "over 1048576 bytes"),
        (gzip.compress(bytes(1 << 30), 1), 413, "over 1048576 bytes"),
        (gzip.compress(SEVEN)[:-20], 400, "cut short"),
        (b"not gzip", 400, "not compressed as its Content-Encoding says"),
        (gzip.compress(SEVEN) + b"rubbish", 400, "not compressed as its Content-Encoding says"),
        (gzip.compress(b"") * 50_000, 400, "not compressed as its Content-Encoding says"),
    ],
    ids=["bomb", "large-bomb", "cut", "none", "rubbish", "members"],
)
def test_what_is_no_small_gzip_is_refused(live_server, path, body, status, sentence):
    answer = post(live_server, body, path=path, **{"Content-Encoding": "gzip"})

    assert answer.status_code == status
    assert sentence in answer.text


def test_compressed_bytes_are_never_taken_for_pixels(live_server):
    pixels = bytes(range(196)) * 4
    stored = gzip.compress(pixels[:761], 0)  # 784 bytes, as many as an image has
    assert len(stored) == 784

    answer = post(live_server, stored, "application/octet-stream", **{"Content-Encoding": "gzip"})

    assert answer.status_code == 422
    assert "the body is 761 bytes" in answer.json()["detail"]
