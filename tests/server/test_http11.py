"""HTTP/1.1 as others speak it: upgrades, versions, hosts, trailers, pipelining, half-closed connections."""

from __future__ import annotations

import contextlib
import json
import math
import resource
import socket

import pytest

from tests.support.http import (
    GENERAL_PATH,
    HEALTHZ,
    PREDICT,
    PREDICT_BODY,
    PREDICT_HEAD,
    read_answers,
    read_statuses,
)
from tests.support.metrics import sample, scrape
from tests.support.process import resident_bytes
from tests.support.wait import until

PIXELS = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Length: 784\r\n\r\n"
) + bytes(784)
GENERAL = PIXELS.replace(b"/predict", GENERAL_PATH.encode())


def read_to_end(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def with_headers(request, *lines):
    return request.replace(b"Host: x\r\n", b"Host: x\r\n" + b"".join(line + b"\r\n" for line in lines))


@pytest.mark.parametrize("request_", [PIXELS, GENERAL], ids=["fast", "general"])
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("pieces", [1, 2, 3], ids=["whole", "head-and-body", "cut-in-the-head"])
def test_an_upgrade_is_ignored_and_the_body_is_read(connect, request_, protocol, pieces):
    request = with_headers(request_, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol)
    head = request.index(b"\r\n\r\n") + 4
    cuts = {1: [], 2: [head], 3: [head // 2, head]}[pieces]
    connection = connect()

    for start, end in zip([0, *cuts], [*cuts, len(request)], strict=True):
        connection.sendall(request[start:end])
    connection.sendall(HEALTHZ)

    assert read_statuses(connection, 2) == [200, 200]


def test_the_body_of_an_upgrade_is_never_a_request(connect):
    smuggled = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    for framing, body in (
        (b"Content-Length: %d\r\n\r\n" % len(smuggled), smuggled),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)),
    ):
        connection = connect()
        connection.sendall(head + b"Content-Type: application/octet-stream\r\n" + framing + body + HEALTHZ)

        assert read_statuses(connection, 2) == [422, 200]


@pytest.mark.parametrize("request_", [PIXELS, GENERAL, HEALTHZ], ids=["fast", "general", "get"])
def test_http_1_0_is_answered_with_a_close_even_if_it_asks_to_keep_alive(connect, request_):
    request = with_headers(request_.replace(b"HTTP/1.1", b"HTTP/1.0"), b"Connection: keep-alive")
    connection = connect()

    connection.sendall(request)

    head = read_to_end(connection).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200 ok")
    assert b"\r\nconnection: close" in head


@pytest.mark.parametrize("request_", [PIXELS, GENERAL, HEALTHZ], ids=["fast", "general", "get"])
@pytest.mark.parametrize("hosts", [0, 2])
def test_a_request_without_one_host_is_refused(connect, request_, hosts):
    connection = connect()

    connection.sendall(request_.replace(b"Host: x\r\n", b"Host: x\r\n" * hosts))

    answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"there are %d Host headers" % hosts in answer


def test_http_1_0_needs_no_host(connect):
    connection = connect()
    connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")

    assert read_statuses(connection, 1) == [200]


@pytest.mark.parametrize("request_", [PIXELS, GENERAL], ids=["fast", "general"])
def test_a_half_closed_connection_is_answered(connect, request_):
    connection = connect()

    connection.sendall(request_)
    connection.shutdown(socket.SHUT_WR)

    assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "headers",
    [b"X-Long: " + b"a" * 70_000 + b"\r\n", b"X: y\r\n" * 700, b"X-Some: " + b"b" * 300 + b"\r\n"],
    ids=["long", "many", "few"],
)
@pytest.mark.parametrize("piece", [100, 5_000, 1_000_000])
def test_limits_on_headers_hold_however_they_are_cut(connect, headers, piece):
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"
    connection = connect()

    with contextlib.suppress(ConnectionError):  # refused before the last piece
        for start in range(0, len(request), piece):
            connection.sendall(request[start : start + piece])

    expected = 200 if len(headers) < 1000 else 431
    assert read_statuses(connection, 1) == [expected]


@pytest.mark.parametrize(("length", "status"), [(8000, 404), (8192, 404), (8193, 414), (60_000, 414)])
def test_a_url_has_a_limit_that_rfc_9110_allows(connect, length, status):
    path = b"/" + b"%41" * (length // 3) + b"a" * (length % 3)

    connection = connect()
    connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path[:length])

    [(found, body)] = read_answers(connection, 1)
    assert found == status
    if status == 414:
        assert json.loads(body)["detail"] == f"the URL has {length} bytes; at most 8192 are read"


def test_trailers_are_never_headers(start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("a-key\n")
    server = start_server(API_KEYS_FILE=keys)
    chunked = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n%s"
    chunked += b"Transfer-Encoding: chunked\r\n\r\n310\r\n" + bytes(784) + b"\r\n0\r\n%s\r\n"

    with server.connect() as connection:
        connection.sendall(chunked % (b"", b"X-API-Key: a-key\r\n"))
        connection.sendall(chunked % (b"X-API-Key: a-key\r\n", b"X-API-Key: none\r\n"))

        assert read_statuses(connection, 2) == [401, 200]


@pytest.mark.parametrize("path", ["/predict", GENERAL_PATH, "/v2/models/mnist-cnn/infer"])
def test_a_length_over_the_limit_is_refused_before_the_body_is_asked_for(connect, path):
    connection = connect()

    connection.sendall(
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        b"Content-Length: 9000000\r\n\r\n" % path.encode()
    )

    assert read_statuses(connection, 1) == [413]


def test_many_pipelined_requests_are_all_answered_and_take_no_memory(start_server):
    server = start_server()
    with server.connect() as connection:
        connection.sendall(PREDICT + HEALTHZ)
        read_answers(connection, 2)
        before = resident_bytes(server.process.pid)

        count, sent = 20_000, 0
        requests = HEALTHZ * count
        connection.setblocking(False)
        received = 0
        while received < count:
            with contextlib.suppress(BlockingIOError):
                sent += connection.send(requests[sent : sent + 65536])
            with contextlib.suppress(BlockingIOError):
                received += connection.recv(1 << 20).count(b"HTTP/1.1 200 OK\r\n")

    assert resident_bytes(server.process.pid) - before < 16 << 20


def test_pipelined_requests_that_nobody_reads_the_answers_of_take_no_memory(start_server):
    server = start_server()
    before = resident_bytes(server.process.pid)
    with server.connect() as connection:
        connection.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):  # the service stops reading
            while sent < 100 << 20:
                sent += connection.send(HEALTHZ * 2000)

        assert server.health() == 200
        assert resident_bytes(server.process.pid) - before < 16 << 20


@pytest.mark.parametrize("first", [PIXELS, GENERAL, HEALTHZ], ids=["fast", "general", "get"])
@pytest.mark.parametrize("second", [PIXELS, GENERAL, PREDICT_HEAD + b"Content-Length: 9\r\n\r\n{"])
def test_garbage_behind_requests_leaves_nothing_in_flight(live_server, connect, first, second):
    for end in (b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b""):
        connection = connect()
        connection.sendall(first + second + end)
        if end:
            connection.recv(10)
        connection.close()

    in_flight = sample("http_requests_in_flight")
    until(lambda: scrape(live_server)[in_flight] == 1)  # the scrape itself
    assert "Traceback" not in live_server.log_text()


def test_requests_before_garbage_are_answered(connect):
    connection = connect()

    connection.sendall(PIXELS + PIXELS + GENERAL + b"GARBAGE\r\n\r\n")

    assert read_statuses(connection, 4) == [200, 200, 200, 400]
    assert read_to_end(connection) == b""


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        pytest.param({"CONNECTION_MAX_AGE_SECONDS": 1}, 11, math.inf, id="age"),
        pytest.param({"MAX_REQUESTS_PER_CONNECTION": 20}, 10, 20, id="requests"),
        pytest.param({"MAX_REQUESTS_PER_CONNECTION": 1}, 1, 1, id="one request"),
    ],
)
def test_connections_end_after_a_while_with_an_answer_that_says_so(start_server, settings, least, most):
    server = start_server(**settings)
    for request in (PIXELS, GENERAL, HEALTHZ):
        with server.connect() as connection:
            answers = []
            stream = connection.makefile("rb")
            while True:
                connection.sendall(request)
                head = b"".join(iter(stream.readline, b"\r\n"))
                length = next(
                    line for line in head.splitlines() if line.lower().startswith(b"content-length")
                )
                stream.read(int(length.split(b": ")[1]))
                answers.append(head)
                if b"connection: close" in head.lower():
                    break
            assert stream.read(1) == b""

        assert least <= len(answers) <= most
        assert all(head.startswith(b"HTTP/1.1 200 OK") for head in answers)


def test_connections_past_the_limit_close_idle_ones_and_health_is_answered(start_server):
    server = start_server()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (168, 168))  # room for 40 connections
    half = PREDICT_HEAD + b"Content-Length: %d\r\n\r\n" % len(PREDICT_BODY) + PREDICT_BODY[:100]

    idle = [server.connect() for _ in range(30)]
    busy = []
    for _ in range(45):
        busy.append(server.connect())
        busy[-1].sendall(half)  # at once: those that are older are to be busy when the next one comes

    assert server.health() == 200
    assert [connection.recv(1) for connection in idle] == [b""] * 30
    for connection in busy[:5]:
        connection.sendall(PREDICT_BODY[100:])
        assert read_statuses(connection, 1) == [200]
    for connection in (*idle, *busy):
        connection.close()
