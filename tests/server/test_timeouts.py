"""Slow clients and endless requests: each is cut off in bounded time, and no other client notices."""

from __future__ import annotations

import json
import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest

from tests.support.http import (
    HEALTHZ,
    PREDICT,
    PREDICT_CHUNKED,
    PREDICT_GENERAL,
    PREDICT_HEAD,
    raw_get,
    read_statuses,
)
from tests.support.server import Server
from tests.support.soak import SOAK
from tests.support.wait import DEADLINE_SECONDS

HEADER_SECONDS, BODY_SECONDS, IDLE_SECONDS = 0.5, 1.0, 2
IDLE_CONNECTIONS = 2000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A service with short timeouts, which takes as many connections as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings = {
        "HEADER_TIMEOUT_SECONDS": HEADER_SECONDS,
        "BODY_TIMEOUT_SECONDS": BODY_SECONDS,
        "KEEP_ALIVE_SECONDS": IDLE_SECONDS,
    }
    server = Server(tmp_path_factory.mktemp("timeouts") / "server.log", settings)
    yield server.wait_until_ready()
    server.kill()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def connect(server):
    """Return a function that opens a connection for raw bytes; the end closes it."""
    with ExitStack() as connections:
        yield lambda: connections.enter_context(server.connect())


def read_to_end(connection):
    """All that comes until the server hangs up."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


def send_slowly(connection, data, pause=0.05):
    """Send a byte at a time until the server hangs up; return what it answered, and after how long."""
    began = time.monotonic()
    connection.settimeout(pause)
    received = b""
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
            part = connection.recv(1 << 16)
        except TimeoutError:
            assert time.monotonic() - began < DEADLINE_SECONDS, "the server never hangs up"
            continue
        except ConnectionError:
            break
        received += part
        if not part:
            break
    return received, time.monotonic() - began


def predicts(connect):
    """Whether a prediction on a new connection is answered."""
    connection = connect()
    connection.sendall(PREDICT)
    return read_statuses(connection, 1) == [200]


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"POST /pre", "headers"),
        (PREDICT_HEAD, "headers"),
        (HEALTHZ[:-2], "headers"),
        (PREDICT[:-1], "body"),
        (PREDICT_HEAD + b"Content-Length: 1000\r\n\r\n", "body"),
        (PREDICT_HEAD + b"Content-Length: 100000\r\n\r\n", "body"),
        (PREDICT_GENERAL[:-1], "body"),
        (PREDICT_CHUNKED[:-5], "body"),
        (PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "body"),
        (
            PREDICT_HEAD.replace(b"json", b"octet-stream") + b"Content-Length: 3136\r\n\r\n" + bytes(784),
            "body",
        ),
        (
            PREDICT_HEAD.replace(b"predict", b"v2/models/mnist-cnn/infer") + b"Content-Length: 50\r\n\r\n{",
            "body",
        ),
    ],
    ids=[
        "start of a request line",
        "some headers",
        "headers without their end",
        "body without its end",
        "no body",
        "no large body",
        "body without its end on the general path",
        "chunked body without its end",
        "start of a chunk",
        "some bytes",
        "open inference body",
    ],
)
def test_half_a_request_gets_a_408(connect, sent, what):
    limit = HEADER_SECONDS if what == "headers" else BODY_SECONDS
    began = time.monotonic()
    connection = connect()
    connection.sendall(sent)

    head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    seconds = time.monotonic() - began

    print(f"the {what} of {limit:g} s at most got a 408 after {seconds:.2f} s")
    assert seconds >= limit
    assert not SOAK or seconds < limit + 1
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nconnection: close" in head
    problem = json.loads(body)
    assert problem["type"] == "urn:problem-type:request-timeout"
    assert problem["detail"].startswith(f"the {what} did not arrive within ")


def test_half_a_request_after_a_whole_one_gets_a_408(connect):
    connection = connect()
    connection.sendall(PREDICT + PREDICT[:-1])

    assert read_statuses(connection, 2) == [200, 408]


@pytest.mark.parametrize(
    "data",
    [
        PREDICT_HEAD * 10,
        PREDICT_HEAD + b"Content-Length: 3000\r\n\r\n" + bytes(3000),
        PREDICT_CHUNKED,
        b"\r\n" * 1000,
    ],
    ids=["headers", "body", "chunks", "empty lines"],
)
def test_a_byte_at_a_time_is_cut_off(connect, data):
    received, seconds = send_slowly(connect(), data)

    assert received[9:12] in (b"408", b"")
    assert seconds < DEADLINE_SECONDS


@pytest.mark.parametrize(
    "first",
    [b"", PREDICT, PREDICT_CHUNKED, PREDICT_GENERAL, HEALTHZ],
    ids=["never used", "prediction", "chunked", "general path", "get"],
)
def test_an_idle_connection_is_closed(connect, first):
    connection = connect()
    connection.sendall(first)
    if first:
        read_statuses(connection, 1)

    assert read_to_end(connection) == b""


def test_an_unfinished_body_that_is_not_needed_is_not_waited_for(connect):
    connection = connect()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")

    assert read_to_end(connection).endswith(b"\r\n\r\nOK")


def send_until_cut_off(connection, piece, limit):
    """Send the same again and again until the server hangs up; return how many bytes that took."""
    sent = 0
    try:
        while sent < limit:
            connection.sendall(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * 4096),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 700),
        (b"GET /", b"a" * 4096),
        (PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n"),
        (PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 700),
        (PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 4096),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", b" " * 4096),
    ],
    ids=["a header", "headers", "a path", "chunks", "trailers", "an extension", "a body that is not read"],
)
def test_a_request_without_end_is_cut_off(connect, start, piece):
    connection = connect()
    connection.sendall(start)

    assert send_until_cut_off(connection, piece, 1 << 30) < 1 << 30
    assert predicts(connect)


def test_the_start_of_a_head_is_not_blamed_for_the_body_before_it(server, connect):
    body = b" " * 100_000
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    connection = connect()
    server.process.send_signal(signal.SIGSTOP)  # so that it finds all of it at once
    try:
        connection.sendall(request + HEALTHZ[:10])
    finally:
        server.process.send_signal(signal.SIGCONT)

    assert read_statuses(connection, 1) == [415]
    connection.sendall(HEALTHZ[10:])
    assert read_statuses(connection, 1) == [200]


def test_headers_over_the_limit_get_a_431(connect):
    connection = connect()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"a" * 70_000)

    assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "malformed",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"hello\r\n\r\n",
        PREDICT_HEAD + b"Content-Length: x\r\n\r\n",
        PREDICT_HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        PREDICT_HEAD + b"Content-Length: -5\r\n\r\n",
        PREDICT_HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        PREDICT_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=str,
)
def test_what_is_no_http_is_refused_at_once(connect, server, malformed):
    connection = connect()
    connection.sendall(malformed)
    connection.shutdown(socket.SHUT_WR)

    answer = read_to_end(connection)

    assert answer[9:12] in (b"400", b"404", b"405", b"408", b""), answer
    assert b"Traceback" not in answer
    assert "Traceback" not in server.log_text()


def test_a_client_that_never_reads_is_cut_off(connect):
    connection = connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(0.2)
    request = raw_get(f"/openapi.json?{'a' * 3000}") * 100
    began = time.monotonic()

    with pytest.raises(ConnectionError):
        while time.monotonic() - began < DEADLINE_SECONDS:
            try:
                connection.sendall(request)
            except TimeoutError:
                continue


@pytest.mark.alone
def test_two_thousand_slow_clients_leave_a_neighbours_latency_alone(connect, server):
    """Half of them send half a request, one of them a byte now and then; a neighbour's latency stays."""

    def milliseconds():
        """Return the median and the 99th percentile of what a neighbour sees."""
        connection, times = connect(), []
        for _ in range(500):
            began = time.perf_counter()
            connection.sendall(PREDICT)
            assert read_statuses(connection, 1) == [200]
            times.append(time.perf_counter() - began)
        return np.percentile(times, [50, 99]) * 1000

    alone = milliseconds()
    crowd = [connect() for _ in range(IDLE_CONNECTIONS)]
    for connection in crowd[::2]:
        connection.sendall(PREDICT[:100])
    slow = threading.Thread(target=send_slowly, args=(connect(), PREDICT))
    slow.start()
    beside = milliseconds()
    slow.join()

    ratios = beside / alone
    print(
        f"a neighbour of {len(crowd)} slow clients: median {alone[0]:.2f} ms without and "
        f"{beside[0]:.2f} ms with them ({ratios[0]:.2f} x), "
        f"p99 {alone[1]:.2f} ms and {beside[1]:.2f} ms ({ratios[1]:.2f} x)"
    )
    if SOAK:
        assert ratios[0] < 5
        assert beside[1] < 10 * alone[1] + 100  # one hiccup of a busy machine is as long as that
    for connection in crowd:
        assert read_to_end(connection)[9:12] in (b"408", b"")
    assert predicts(connect)
