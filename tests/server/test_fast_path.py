"""The fast path of a prediction answers byte for byte what the application answers."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import numpy as np
import pytest

from tests.support.http import HEALTHZ, PREDICT, PREDICT_BODY, PREDICT_CHUNKED, read_statuses
from tests.support.invalid_bodies import INVALID_BODIES


def answer_to(live_server, body, *, chunked):
    connection = HTTPConnection(*live_server.address, timeout=10)
    headers = {"Content-Type": "application/json", "X-Request-ID": "the-same"}
    connection.request("POST", "/predict", iter([body]) if chunked else body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    answer = (
        response.status,
        {k.lower(): v for k, v in response.getheaders() if k.lower() != "date"},
        response.read(),
    )
    connection.close()
    return answer


@pytest.mark.parametrize(
    "body", [PREDICT_BODY, *(body for body, _, _ in INVALID_BODIES.values())], ids=["good", *INVALID_BODIES]
)
def test_both_paths_answer_alike(live_server, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fast, other = (answer_to(live_server, raw, chunked=chunked) for chunked in (False, True))

    assert fast[:2] == other[:2]
    if fast[0] == 200:
        probabilities = [json.loads(body)["probabilities"] for _, _, body in (fast, other)]
        np.testing.assert_allclose(*probabilities, atol=1e-6)
    else:
        assert fast[2] == other[2]


def test_a_connection_takes_both_paths_in_turn(connect):
    connection = connect()

    for request in (PREDICT, PREDICT_CHUNKED, HEALTHZ, PREDICT, PREDICT, PREDICT_CHUNKED):
        connection.sendall(request)
        assert read_statuses(connection, 1) == [200]
