"""The fast path of a prediction answers byte for byte what the application answers."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import numpy as np
import pytest

from tests.support.http import (
    HEALTHZ,
    PREDICT,
    PREDICT_BODY,
    PREDICT_CHUNKED,
    PREDICT_GENERAL,
    PREDICT_HEAD,
    SEVEN,
    post,
    read_answers,
    read_statuses,
)
from tests.support.invalid_bodies import INVALID_BODIES
from tests.support.metrics import sample, scrape
from tests.support.wait import until


def answer_to(live_server, body, *, query="", chunked=False, **headers):
    connection = HTTPConnection(*live_server.address, timeout=10)
    headers |= {"Content-Type": "application/json", "X-Request-ID": "the-same"}
    sent = iter([body]) if chunked else body
    connection.request("POST", f"/predict{query}", sent, headers, encode_chunked=chunked)
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
    general = answer_to(live_server, raw, query="?preview=false")

    for fast in (
        answer_to(live_server, raw),
        answer_to(live_server, raw, chunked=True),
        answer_to(live_server, raw, **{"Content-Encoding": "Identity", "Upgrade": "websocket"}),
    ):
        assert fast[:2] == general[:2]
        if fast[0] == 200:
            probabilities = [json.loads(body)["probabilities"] for _, _, body in (fast, general)]
            np.testing.assert_allclose(*probabilities, atol=1e-6)
        else:
            assert fast[2] == general[2]


def test_a_connection_takes_both_paths_in_turn(connect):
    connection = connect()

    for request in (PREDICT, PREDICT_GENERAL, HEALTHZ, PREDICT_CHUNKED, PREDICT, PREDICT, PREDICT_GENERAL):
        connection.sendall(request)
        assert read_statuses(connection, 1) == [200]


@pytest.mark.parametrize("chunk_bytes", [700, 9_000, 100_000])
def test_a_chunked_body_may_grow_beyond_the_fast_path(live_server, connect, chunk_bytes):
    seven = json.loads(SEVEN)["image"]
    body = json.dumps({"images": [seven] * 30}).encode()
    assert len(body) > 2 * (1 << 15)
    parts = [body[start : start + chunk_bytes] for start in range(0, len(body), chunk_bytes)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    connection = connect()

    connection.sendall(PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n" + PREDICT)
    (first, answer), (second, _) = read_answers(connection, 2)

    assert (first, second) == (200, 200)
    assert [each["digit"] for each in json.loads(answer)["predictions"]] == [7] * 30
    assert post(live_server, SEVEN).json()["digit"] == 7
    in_flight = sample("http_requests_in_flight")
    until(lambda: scrape(live_server)[in_flight] == 1, "nothing but the scrape is left")
