"""The short way of a prediction: byte for byte what the long way answers, on every kind of connection."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.test_predict import BAD_BODIES, ZEROS

BODY = json.dumps({"image": ZEROS}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ENTIRE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def connect(live_server):
    """Open a connection that speaks raw bytes; it is closed at the end."""
    connections = []

    def open_one():
        address = urlsplit(live_server.url)
        connections.append(socket.create_connection((address.hostname, address.port), timeout=10))
        return connections[-1]

    yield open_one
    for connection in connections:
        connection.close()


def read_answers(connection, count):
    """Read whole answers; return the status and the body of each."""
    stream = connection.makefile("rb")
    answers = []
    for _ in range(count):
        status = int(stream.readline().split()[1])
        headers = dict(line.strip().lower().split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
        answers.append((status, stream.read(int(headers[b"content-length"]))))
    return answers


def answer_by(live_server, body, *, chunked):
    address = urlsplit(live_server.url)
    connection = HTTPConnection(address.hostname, address.port, timeout=10)
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
    "body", [BODY, *(body for body, _, _ in BAD_BODIES.values())], ids=["good", *BAD_BODIES]
)
def test_both_ways_answer_alike(live_server, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    short, long = (answer_by(live_server, raw, chunked=chunked) for chunked in (False, True))

    assert short[:2] == long[:2]
    if short[0] == 200:
        short_answer, long_answer = json.loads(short[2]), json.loads(long[2])
        np.testing.assert_allclose(short_answer["probabilities"], long_answer["probabilities"], atol=1e-6)
    else:
        assert short[2] == long[2]


def test_a_connection_takes_both_ways_in_turn(connect):
    connection = connect()

    for request in (ENTIRE, CHUNKED, HEALTH, ENTIRE, ENTIRE, CHUNKED):
        connection.sendall(request)
        assert [status for status, _ in read_answers(connection, 1)] == [200]


def test_pipelined_requests_are_answered_in_order(connect):
    bad = HEAD + b"Content-Length: 2\r\n\r\n{}"
    connection = connect()

    connection.sendall(ENTIRE + HEALTH + bad + CHUNKED + ENTIRE + HEALTH)

    answers = read_answers(connection, 6)
    assert [status for status, _ in answers] == [200, 200, 422, 200, 200, 200]
    assert [body == b"OK" for _, body in answers] == [False, True, False, False, False, True]


def test_a_body_may_come_in_pieces(connect):
    connection = connect()

    for start in range(0, len(ENTIRE), 100):
        connection.sendall(ENTIRE[start : start + 100])

    assert [status for status, _ in read_answers(connection, 1)] == [200]


@pytest.mark.parametrize(
    "request_", [ENTIRE.replace(b"Host: x", b"Connection: close"), ENTIRE.replace(b"HTTP/1.1", b"HTTP/1.0")]
)
def test_a_connection_that_is_to_close_is_closed(connect, request_):
    connection = connect()

    connection.sendall(request_)

    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["model"]["name"] == "mnist-cnn"


def test_a_client_that_asks_before_it_sends_is_asked_to_go_on(connect):
    connection = connect()
    connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"

    connection.sendall(BODY)

    assert [status for status, _ in read_answers(connection, 1)] == [200]


@pytest.mark.parametrize("sent", [ENTIRE, ENTIRE[:-10]], ids=["entire", "cut short"])
def test_a_client_that_hangs_up_leaves_no_trace(connect, sent):
    for _ in range(5):
        connection = connect()
        connection.sendall(sent)
        connection.close()

    connection = connect()
    connection.sendall(ENTIRE)
    assert [status for status, _ in read_answers(connection, 1)] == [200]
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    figures = read_answers(connection, 1)[0][1].decode().splitlines()
    assert "http_requests_in_flight 1.0" in figures
    assert "inference_queue_depth 0.0" in figures
