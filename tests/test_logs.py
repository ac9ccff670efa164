"""What a service says of its requests: one JSON object a line, on demand, with the names that others use."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest
import requests

from tests.support.http import PREDICT_BODY, ZEROS, get, post

JSON = {"Content-Type": "application/json"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATHS = pytest.mark.parametrize("query", ["", "?preview=false"], ids=["fast path", "application"])


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
def test_a_trace_is_carried_through(live_server, query):
    assert predict(live_server, query, traceparent=TRACE).headers["traceparent"] == TRACE


@PATHS
@pytest.mark.parametrize("trace", [TRACE.upper(), TRACE[:-1], TRACE + "0", "", "00-xyz"])
def test_what_is_no_trace_is_not(live_server, query, trace):
    response = predict(live_server, query, traceparent=trace)

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
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    service\.api\.app: serving mnist-cnn .*", line
    )
