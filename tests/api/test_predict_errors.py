"""`POST /predict` refuses what it can't take, with the status and the words that say what to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

from tests.support.http import ZEROS, post, problem_of
from tests.support.invalid_bodies import INVALID_BODIES, with_pixel


@pytest.mark.parametrize(("body", "status", "detail"), INVALID_BODIES.values(), ids=INVALID_BODIES)
def test_a_bad_body_is_told_what_is_wrong(live_server, body, status, detail):
    response = post(live_server, body)

    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"], problem["detail"]) == (status, status, detail)
    kind = "invalid-body" if status == 400 else "invalid-image"
    assert problem["type"] == f"urn:problem-type:{kind}"
    assert problem["title"]


def test_an_error_points_at_the_bad_pixel(live_server):
    assert post(live_server, {"image": with_pixel(203, 255)}).json()["pointer"] == "/image/203"
    assert (
        post(live_server, {"image": [[0] * 28] * 27 + [[0] * 27 + ["x"]]}).json()["pointer"] == "/image/27/27"
    )


def test_binary_pixels_are_checked_too(live_server):
    nan = np.zeros(784, "<f4")
    nan[12] = np.nan

    short = post(live_server, bytes(100), "application/octet-stream")
    poisoned = post(live_server, nan.tobytes(), "application/octet-stream")

    assert (short.status_code, short.json()["detail"]) == (
        422,
        "the body is 100 bytes; expected 784 (uint8, 0..255) or 3136 (little-endian float32, 0..1)",
    )
    assert (poisoned.status_code, poisoned.json()["detail"]) == (
        422,
        "image[12] is nan; pixels are finite numbers in 0..1",
    )


def test_a_bad_request_leaves_its_neighbours_alone(live_server, digits):
    good = (digits[0] / 255).ravel().tolist()
    bodies = [{"image": with_pixel(0, 2)} if i % 3 == 0 else {"image": good} for i in range(48)]

    with ThreadPoolExecutor(16) as pool:
        statuses = [
            response.status_code for response in pool.map(lambda body: post(live_server, body), bodies)
        ]

    assert statuses == [422 if i % 3 == 0 else 200 for i in range(48)]


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_body_over_the_limit_is_refused(live_server, chunked):
    body = b" " * ((1 << 20) + 1)
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))

    response = requests.post(
        f"{live_server.url}/predict",
        data=parts if chunked else body,
        headers={"Content-Type": "application/json"},
        timeout=10,
    )

    assert (response.status_code, response.json()["type"]) == (413, "urn:problem-type:body-too-large")
    assert response.json()["detail"] == "the body is over 1048576 bytes"


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        ("text/plain", "text/plain"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ("", "missing"),
    ],
)
def test_another_content_type_is_refused(live_server, content_type, found):
    response = post(live_server, {"image": ZEROS}, content_type or None)

    assert (response.status_code, response.json()["type"]) == (415, "urn:problem-type:unsupported-media-type")
    assert response.json()["detail"].startswith(f"Content-Type is {found}; send application/json, or ")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_told_the_right_one(live_server, method):
    response = requests.request(method, f"{live_server.url}/predict", timeout=10)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert response.json() == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": f"{method} is not allowed on /predict; use POST",
    }


def test_infinite_pixels_leave_no_trace(live_server):
    image = np.zeros(784, "<f4")
    image[:2] = np.inf, -np.inf

    response = post(live_server, image.tobytes(), "application/octet-stream")

    assert problem_of(response) == (422, "invalid-image")
    assert live_server.lines()  # every line is JSON: no library has written a warning of its own
