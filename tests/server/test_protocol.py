"""HTTP/1.1 on a raw connection: pipelining, bodies in pieces, closing, hanging up."""

from __future__ import annotations

import json

import pytest

from tests.support.http import (
    HEALTHZ,
    PREDICT,
    PREDICT_BODY,
    PREDICT_CHUNKED,
    PREDICT_GENERAL,
    PREDICT_HEAD,
    raw_get,
    read_answers,
    read_statuses,
)


def test_pipelined_requests_are_answered_in_order(connect):
    bad = PREDICT_HEAD + b"Content-Length: 2\r\n\r\n{}"
    connection = connect()

    connection.sendall(PREDICT + HEALTHZ + bad + PREDICT_CHUNKED + PREDICT_GENERAL + HEALTHZ)

    answers = read_answers(connection, 6)
    assert [status for status, _ in answers] == [200, 200, 422, 200, 200, 200]
    assert [body == b"OK" for _, body in answers] == [False, True, False, False, False, True]


def test_a_body_may_come_in_pieces(connect):
    connection = connect()

    for start in range(0, len(PREDICT), 100):
        connection.sendall(PREDICT[start : start + 100])

    assert read_statuses(connection, 1) == [200]


@pytest.mark.parametrize(
    "request_",
    [PREDICT.replace(b"Host: x", b"Host: x\r\nConnection: close"), PREDICT.replace(b"HTTP/1.1", b"HTTP/1.0")],
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
    connection.sendall(
        PREDICT_HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(PREDICT_BODY)
    )
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"

    connection.sendall(PREDICT_BODY)

    assert read_statuses(connection, 1) == [200]


@pytest.mark.parametrize("sent", [PREDICT, PREDICT[:-10]], ids=["entire", "cut short"])
def test_a_client_that_hangs_up_leaves_no_trace(connect, sent):
    for _ in range(5):
        connection = connect()
        connection.sendall(sent)
        connection.close()

    connection = connect()
    connection.sendall(PREDICT)
    assert read_statuses(connection, 1) == [200]
    connection.sendall(raw_get("/metrics"))
    figures = read_answers(connection, 1)[0][1].decode().splitlines()
    assert "http_requests_in_flight 1.0" in figures
    assert "inference_queue_depth 0.0" in figures
