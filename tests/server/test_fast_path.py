"""The fast path of a prediction answers byte for byte what the application answers."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import numpy as np
import pytest

from service.server.fast_path import find_media_type
from tests.support.http import (
    GENERAL_PATH,
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


def answer_to(live_server, body, *, path="/predict", chunked=False, **headers):
    connection = HTTPConnection(*live_server.address, timeout=10)
    headers |= {"Content-Type": "application/json", "X-Request-ID": "the-same"}
    sent = iter([body]) if chunked else body
    connection.request("POST", path, sent, headers, encode_chunked=chunked)
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
    general = answer_to(live_server, raw, path=GENERAL_PATH)

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


@pytest.mark.parametrize("body", [SEVEN, json.dumps({"images": [json.loads(SEVEN)["image"]] * 2}).encode()])
@pytest.mark.parametrize(
    "query",
    [
        "?",
        *("?top=3", "?top=0", "?top=3&top=2", "?%74op=1", "?TOP=1"),
        *("?explain=true", "?explain=yes", "?explain=false&&preview=true"),
        *("?preview=true#x", "?#preview=true"),
        *("?close=true", "?close=false", "?draft=true&close=true&top=1&explain=true&preview=true"),
        "?" + "x=1&" * 300,
    ],
)
def test_both_paths_read_the_same_options(live_server, query, body):
    fast, general = (answer_to(live_server, body, path=path + query) for path in ("/predict", GENERAL_PATH))

    assert fast[:2] == general[:2]
    assert json.loads(fast[2]) == json.loads(general[2])


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        *((b"/predict", True), (b"/predict?", True), (b"/predict?top=3&draft=true", True)),
        *((b"/predictions/x", False), (b"/predict/", False)),
        *((b"/predict#?", False), (b"/predict?top=3#x", False)),
        *((GENERAL_PATH.encode(), False), (b"http://x/predict", False), (b"*", False)),
    ],
)
def test_the_fast_path_is_one_path_with_any_options(url, taken):
    headers = [(b"host", b"x"), (b"content-type", b"application/json"), (b"content-length", b"9")]

    assert (find_media_type(url, b"POST", headers) is not None) == taken
    assert find_media_type(url, b"GET", headers) is None


def test_a_draft_is_not_counted_on_either_path(live_server):
    counted = sample("predictions_total", digit="7")
    before = scrape(live_server)[counted]

    for path in ("/predict?draft=true", f"{GENERAL_PATH}?draft=true"):
        assert answer_to(live_server, SEVEN, path=path)[0] == 200

    assert scrape(live_server)[counted] == before


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
