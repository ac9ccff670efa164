"""What a service says of its requests: one JSON object a line, on demand, with the names that others use."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys

import pytest
import requests

from tests.support.http import PREDICT_BODY, ZEROS, get, post
from tests.support.ports import free_port
from tests.support.wait import until

JSON = {"Content-Type": "application/json"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATHS = pytest.mark.parametrize("head", [{}, {"Expect": "100-continue"}], ids=["fast path", "general path"])


def predict(server, query="", **headers):
    return post(server, {"image": ZEROS}, path=f"/predict{query}", **headers)


def access_lines(server):
    return [line for line in server.lines() if "route" in line]


def test_a_service_says_nothing_of_requests_unless_it_is_asked_to(live_server):
    predict(live_server)
    predict(live_server, "?preview=maybe")

    assert access_lines(live_server) == []


def test_every_request_can_get_a_line(start_server):
    server = start_server(ACCESS_LOG_SAMPLE=1)

    predict(server, **{"X-Request-ID": "one", "traceparent": TRACE})
    predict(server, "?preview=maybe", **{"X-Request-ID": "two"})
    get(server, "/nothing")
    server.terminate()

    lines = [line for line in access_lines(server) if line["route"] != "/healthz"]
    assert len(lines) == 3
    for line, expected in zip(
        lines,
        [
            {"message": "POST /predict 200", "request_id": "one", "trace_id": TRACE[3:35]},
            {"message": "POST /predict 422", "request_id": "two"},
            {"message": "GET unknown 404", "route": "unknown", "status": 404, "method": "GET"},
        ],
        strict=True,
    ):
        assert line.items() >= expected.items()
        assert line["level"] == "INFO"
        assert 0 < line["seconds"] < 60
        assert re.fullmatch(r"\d{4}-\d\d-\d\d[T ].*", line["time"])


def test_a_share_of_the_requests_can_get_a_line(start_server):
    server = start_server(ACCESS_LOG_SAMPLE=0.5)

    with requests.Session() as session:
        for _ in range(200):
            session.post(f"{server.url}/predict", PREDICT_BODY, headers=JSON, timeout=10)
    server.terminate()

    lines = [line for line in access_lines(server) if line["route"] == "/predict"]
    assert 50 < len(lines) < 150  # further off than once in a million million times


@PATHS
def test_a_trace_is_carried_through(live_server, head):
    assert predict(live_server, **head, traceparent=TRACE).headers["traceparent"] == TRACE


@PATHS
@pytest.mark.parametrize(
    "trace",
    [
        *(TRACE.upper(), TRACE[:-1], TRACE + "0", "", "00-xyz"),
        # The version, the trace and the span that W3C Trace Context calls invalid.
        *("ff" + TRACE[2:], TRACE.replace(TRACE[3:35], 32 * "0"), TRACE.replace(TRACE[36:52], 16 * "0")),
    ],
)
def test_what_is_no_trace_is_not(live_server, head, trace):
    response = predict(live_server, **head, traceparent=trace)

    assert response.status_code == 200
    assert "traceparent" not in response.headers


def test_nothing_is_said_of_traces_that_nobody_sent(live_server):
    assert "traceparent" not in predict(live_server).headers


def test_a_terminal_gets_plain_text():
    master, slave = pty.openpty()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "service"], stdout=slave, stderr=slave, env=environment
    ) as process:
        os.close(slave)
        text = b""
        while b"listening on" not in text:
            text += os.read(master, 4096)
        process.terminate()
    os.close(master)

    [line] = [line for line in text.decode().splitlines() if "serving mnist-cnn" in line]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    service\.api\.app: serving mnist-cnn .*", line
    )


def test_times_are_rfc_3339_and_nothing_is_for_terminals(start_server):
    server = start_server()
    server.terminate()

    for line in server.lines():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))
        assert "color_message" not in line
    text = server.log_text()
    assert "CTRL+C" not in text
    assert "\\u001b" not in text


def test_the_text_log_of_a_request_has_its_duration_its_id_and_its_problem(start_server, tmp_path):
    server = start_server(LOG_FORMAT="text", ACCESS_LOG_SAMPLE=1, PORT=(port := free_port()))
    address = f"http://127.0.0.1:{port}"
    requests.post(f"{address}/predict", data=b"{", headers={"X-Request-ID": "a-bad-one"}, timeout=10)
    requests.get(f"{address}/healthz", headers={"X-Request-ID": "a-good-one"}, timeout=10)
    server.terminate()

    text = server.log_text()
    assert re.search(r" INFO .*: POST /predict 415 \d+\.\d ms a-bad-one unsupported-media-type\n", text)
    assert re.search(r" INFO .*: GET /healthz 200 \d+\.\d ms a-good-one\n", text)


def test_a_stdout_that_nobody_reads_stops_nothing():
    port = free_port()
    environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port), "ACCESS_LOG_SAMPLE": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "service"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        session = requests.Session()
        until(lambda: is_healthy(port))
        statuses = [
            session.post(f"http://127.0.0.1:{port}/predict", data=b"{", timeout=10).status_code
            for _ in range(3000)
        ]
        metrics = session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        process.terminate()
        status = process.wait(20)

    assert set(statuses) == {415}
    [dropped] = re.findall(r"^log_lines_dropped_total (\d+)", metrics, flags=re.MULTILINE)
    assert int(dropped) > 0
    assert status == 0


def is_healthy(port):
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    return False


def test_requests_of_strangers_that_are_wrong_leave_no_lines(live_server, connect):
    before = len(live_server.lines())
    for _ in range(100):
        for sent in (
            b"rubbish\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
        ):
            connection = connect()
            connection.sendall(sent)
            connection.recv(100)
            connection.close()
    for _ in range(100):
        post(live_server, b"{", path="/predict")
        post(live_server, b"\x89PNG\r\n\x1a\n", "image/png")

    assert len(live_server.lines()) == before
