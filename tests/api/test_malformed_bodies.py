"""Malformed bodies: never a 500, never a traceback, never a hang, on any route, announced or chunked."""

from __future__ import annotations

import json

import pytest

from tests.support.http import PREDICT, raw_post, read_answers, read_statuses
from tests.support.malformed_bodies import BINARY, malformed_bodies

BODIES = malformed_bodies()
ROUTES = ("/predict", "/predict?preview=true", "/v2/models/mnist-cnn/infer")


def test_there_are_many_bodies_and_each_has_a_name():
    assert len(BODIES) >= 300
    assert len({body.name for body in BODIES}) == len(BODIES)


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("path", ROUTES)
def test_every_body_gets_a_plain_answer(live_server, path, chunked):
    wrong = []

    with live_server.connect() as connection:
        for name, content_type, body in BODIES:
            connection.sendall(raw_post(path, content_type, body, chunk_bytes=chunked * max(1, len(body))))
            status, answer = read_answers(connection, 1)[0]
            if (
                status not in (200, 400, 413, 415, 422)
                or b"Traceback" in answer
                or not explains(status, answer)
            ):
                wrong.append((name, status, answer[:200]))
        assert wrong == []
        connection.sendall(PREDICT)
        assert read_statuses(connection, 1) == [200]

    assert "Traceback" not in live_server.log_text()


def explains(status: int, answer: bytes) -> bool:
    """Whether an answer is a prediction with probabilities that are some, or says what was wrong."""
    document = json.loads(answer)
    if status == 200:
        return b"NaN" not in answer and b"null" not in answer
    return bool(document.get("detail") or document.get("error"))


def test_no_answer_repeats_much_of_the_question(live_server):
    with live_server.connect() as connection:
        for _, content_type, body in BODIES:
            connection.sendall(raw_post("/predict", content_type, body))
            status, answer = read_answers(connection, 1)[0]
            assert status == 200 or len(answer) < 1000


@pytest.mark.parametrize(
    "value", ["a" * 60_000, "\x7f", "..;/", "application/json\x0b", "application/jsonx" * 100]
)
def test_a_malformed_content_type_gets_a_plain_answer(live_server, value):
    with live_server.connect() as connection:
        connection.sendall(raw_post("/predict", value, bytes(784)))
        status, answer = read_answers(connection, 1)[0]

    assert status in (400, 415, 422, 431)
    assert len(answer) < 1000
    assert BINARY in answer.decode() or status != 415
