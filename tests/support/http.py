"""Requests to the service, as raw bytes and through `requests`, and how their answers are read."""

from __future__ import annotations

import json
import socket
from typing import Any

import requests

from tests.support.paths import DATA
from tests.support.server import Server

TIMEOUT_SECONDS = 20

ZEROS = [0] * 784
ONES = [1] * 784
# A handwritten seven as `POST /predict` takes it.
SEVEN = (DATA / "digit-7.json").read_bytes()

# Whole requests for raw connections.
PREDICT_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PREDICT_BODY = json.dumps({"image": ZEROS}).encode()
PREDICT = PREDICT_HEAD + b"Content-Length: %d\r\n\r\n" % len(PREDICT_BODY) + PREDICT_BODY
PREDICT_CHUNKED = PREDICT_HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
    len(PREDICT_BODY),
    PREDICT_BODY,
)
# The same path as far as HTTP goes, and yet nothing that the fast path takes.
GENERAL_PATH = "/%70redict"
PREDICT_GENERAL = PREDICT.replace(b"/predict", GENERAL_PATH.encode())
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def raw_get(path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def raw_post(path: str, content_type: str, body: bytes, *, chunk_bytes: int = 0) -> bytes:
    """The bytes of a POST request, its body in chunks of this size, or of a length that is announced."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n".encode()
    if chunk_bytes:
        chunks = (body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes))
        framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def read_answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Read whole answers; return the status and the body of each."""
    stream = connection.makefile("rb")
    answers = []
    for _ in range(count):
        status = int(stream.readline().split()[1])
        headers = dict(line.strip().lower().split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
        answers.append((status, stream.read(int(headers[b"content-length"]))))
    return answers


def read_statuses(connection: socket.socket, count: int) -> list[int]:
    """Read whole answers; return the status of each."""
    return [status for status, _ in read_answers(connection, count)]


def post(
    server: Server,
    body: Any,
    content_type: str | None = "application/json",
    *,
    path: str = "/predict",
    **headers: str,
) -> requests.Response:
    """Post bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if content_type is not None:
        headers["Content-Type"] = content_type
    return requests.post(f"{server.url}{path}", data=data, headers=headers, timeout=TIMEOUT_SECONDS)


def get(server: Server, path: str, **headers: str) -> requests.Response:
    """Get a page."""
    return requests.get(f"{server.url}{path}", headers=headers, timeout=TIMEOUT_SECONDS)


def problem_of(response: requests.Response) -> tuple[int, str]:
    """The status of a refusal, and the last part of its problem type."""
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["type"].removeprefix("urn:problem-type:")
