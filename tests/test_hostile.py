"""Hostile bodies: never a 500, never a traceback, never a hang, by whichever way and to whichever route."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.hostile import BINARY, corpus
from tests.test_protocol import ENTIRE, read_answers

CORPUS = corpus()
ROUTES = ("/predict", "/predict?preview=true", "/v2/models/mnist-cnn/infer")


def request(path: str, content_type: str, body: bytes, *, chunked: bool) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n".encode()
    if chunked:
        chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_the_corpus_is_large_and_each_of_its_bodies_has_a_name():
    assert len(CORPUS) >= 300
    assert len({hostile.name for hostile in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("path", ROUTES)
def test_every_hostile_body_gets_a_plain_answer(live_server, path, chunked):
    address = urlsplit(live_server.url)
    wrong = []

    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for name, content_type, body in CORPUS:
            connection.sendall(request(path, content_type, body, chunked=chunked))
            status, answer = read_answers(connection, 1)[0]
            if (
                status not in (200, 400, 413, 415, 422)
                or b"Traceback" in answer
                or not explains(status, answer)
            ):
                wrong.append((name, status, answer[:200]))
        assert wrong == []
        connection.sendall(ENTIRE)
        assert read_answers(connection, 1)[0][0] == 200

    assert "Traceback" not in live_server.log.read_text()


def explains(status: int, answer: bytes) -> bool:
    """Whether an answer is a prediction with probabilities that are some, or says what was wrong."""
    document = json.loads(answer)
    if status == 200:
        return b"NaN" not in answer and b"null" not in answer
    return bool(document.get("detail") or document.get("error"))


def test_no_answer_repeats_much_of_the_question(live_server):
    address = urlsplit(live_server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for _, content_type, body in CORPUS:
            connection.sendall(request("/predict", content_type, body, chunked=False))
            status, answer = read_answers(connection, 1)[0]
            assert status == 200 or len(answer) < 1000


@pytest.mark.parametrize(
    "value", ["a" * 60_000, "\x7f", "..;/", "application/json\x0b", "application/jsonx" * 100]
)
def test_a_hostile_content_type_gets_a_plain_answer(live_server, value):
    address = urlsplit(live_server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request("/predict", value, bytes(784), chunked=False))
        status, answer = read_answers(connection, 1)[0]

    assert status in (400, 415, 422, 431)
    assert len(answer) < 1000
    assert BINARY in answer.decode() or status != 415
