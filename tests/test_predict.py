"""``POST /predict`` on a real server: right answers, and a clear word for every mistake."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import torch

from service.settings import BUNDLED_MODEL

DATA = Path(__file__).with_name("data")
ZEROS = [0] * 784


def post(server, body, content_type="application/json", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(
        f"{server.url}/predict", data=data, headers={"Content-Type": content_type, **headers}, timeout=10
    )


@pytest.mark.parametrize("digit", range(10))
def test_the_guides_digits_are_right(live_server, digit):
    response = post(live_server, (DATA / f"digit-{digit}.json").read_bytes())

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    assert answer.keys() == {"digit", "confidence", "probabilities", "model"}
    assert answer["digit"] == digit
    assert answer["confidence"] == pytest.approx(max(answer["probabilities"]))
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert answer["model"]["name"] == "mnist-cnn"


def test_the_server_answers_what_the_file_answers(live_server, digits, labels):
    module = torch.jit.load(str(BUNDLED_MODEL))
    with torch.inference_mode():
        expected = module(torch.from_numpy(digits.copy()).float().div(255).unsqueeze(1)).softmax(1).numpy()

    with ThreadPoolExecutor(8) as pool:
        answers = [
            response.json()
            for response in pool.map(
                lambda image: post(live_server, {"image": (image / 255).ravel().tolist()}), digits
            )
        ]

    np.testing.assert_allclose([answer["probabilities"] for answer in answers], expected, atol=1e-5)
    assert np.mean([answer["digit"] for answer in answers] == labels) >= 0.99


def test_every_form_of_an_image_gets_the_same_answer(live_server, digits):
    image = digits[0]
    scaled = image.astype("<f4") / np.float32(255)

    answers = [
        post(live_server, {"image": scaled.ravel().tolist()}),
        post(live_server, {"image": scaled.tolist()}),
        post(live_server, {"note": "more members do no harm", "image": scaled.ravel().tolist()}),
        post(live_server, image.tobytes(), "application/octet-stream"),
        post(live_server, scaled.tobytes(), "application/octet-stream"),
        post(live_server, {"image": scaled.ravel().tolist()}, "application/json; charset=utf-8"),
    ]

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    for answer in answers:
        np.testing.assert_allclose(
            answer.json()["probabilities"], answers[0].json()["probabilities"], atol=1e-6
        )


def test_a_drawn_block_gets_ten_finite_probabilities(live_server):
    image = np.zeros((28, 28))
    image[10:18, 12:16] = 1

    response = post(live_server, {"image": image.ravel().astype(int).tolist()})

    assert response.status_code == 200
    probabilities = response.json()["probabilities"]
    assert len(probabilities) == 10
    assert np.isfinite(probabilities).all()
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def replaced(index, value):
    return [*ZEROS[:index], value, *ZEROS[index + 1 :]]


BAD_BODIES = {
    "empty": (b"", 400, 'the body is empty; expected {"image": [...]}'),
    "not JSON": (b"{image: 1}", 400, "the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    "cut short": (b'{"image": [0, 0', 400, "the body is not JSON: Expecting ',' delimiter: line 1 column 16 (char 15)"),
    "not UTF-8": (b'{"image": "\xff"}', 400, "the body is not UTF-8 (byte 0xff at offset 11); JSON is"),
    "not an object": ([1, 2], 422, 'the body is a list of 2; expected an object: {"image": [...]}'),
    "a bare number": (b"7", 422, 'the body is the number 7; expected an object: {"image": [...]}'),
    "no image": ({"pixels": []}, 422, "no \"image\" in the body (found 'pixels'); expected {\"image\": [...]}"),
    "nothing": ({}, 422, 'no "image" in the body (found no members); expected {"image": [...]}'),
    "image is a string": ({"image": "seven"}, 422, "image is the string 'seven'; expected a list of 784 numbers"),
    "image is null": ({"image": None}, 422, "image is null; expected a list of 784 numbers"),
    "no pixels": ({"image": []}, 422, "image has 0 pixels; expected 784 (28 x 28, row by row)"),
    "too few": ({"image": ZEROS[:783]}, 422, "image has 783 pixels; expected 784 (28 x 28, row by row)"),
    "too many": ({"image": [*ZEROS, 0]}, 422, "image has 785 pixels; expected 784 (28 x 28, row by row)"),
    "too few rows": ({"image": [[0] * 28] * 27}, 422, "image has 27 rows; expected 28"),
    "a short row": ({"image": [[0] * 28] * 27 + [[0] * 27]}, 422, "image[27] has 27 pixels; expected 28"),
    "a row that is none": ({"image": [[0] * 28] * 27 + [0]}, 422, "image[27] is the number 0; expected a row of 28 numbers"),
    "rows in rows": ({"image": [[0] * 28] * 27 + [[[0] * 28]]}, 422, "image[27] has 1 pixels; expected 28"),
    "flattened by chance": ({"image": [[0, 0], [], *ZEROS[2:]]}, 422, "image has 784 rows; expected 28"),
    "a string pixel": ({"image": replaced(3, "0")}, 422, "image[3] is the string '0'; expected a number in 0..1"),
    "a null pixel": ({"image": replaced(783, None)}, 422, "image[783] is null; expected a number in 0..1"),
    "a boolean pixel": ({"image": replaced(0, True)}, 422, "image[0] is true; expected a number in 0..1"),
    "a nested string": ({"image": [[0] * 28] * 27 + [[0] * 27 + ["x"]]}, 422, "image[27][27] is the string 'x'; expected a number in 0..1"),
    "NaN": ({"image": replaced(5, float("nan"))}, 400, "the body contains NaN, which JSON has no number for; pixels are finite numbers in 0..1"),
    "Infinity": ({"image": replaced(5, float("inf"))}, 400, "the body contains Infinity, which JSON has no number for; pixels are finite numbers in 0..1"),
    "beyond a double": (b'{"image": [%s1e400]}' % (b"0," * 783), 422, "image[783] is inf; pixels are finite numbers in 0..1"),
    "beyond a float": ({"image": replaced(7, 1e39)}, 422, "image[7] is 1e+39; pixels are 0..1, so divide by 255"),
    "an endless integer": (b'{"image": [%s%s]}' % (b"0," * 783, b"9" * 400), 422, "image[783] is inf; pixels are finite numbers in 0..1"),
    "0..255": ({"image": replaced(203, 255)}, 422, "image[203] is 255.0; pixels are 0..1, so divide by 255"),
    "negative": ({"image": replaced(9, -0.5)}, 422, "image[9] is -0.5; pixels are 0..1"),
    "the same name twice": (b'{"image": 1, "image": 2}', 400, "the body has an object with the same name twice; which one counts is anyone's guess"),
    "nested without end": (b'{"image": ' + b"[" * 50_000, 400, "the body is nested too deeply; expected a list of numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status", "detail"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_told_what_is_wrong(live_server, body, status, detail):
    response = post(live_server, body)

    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"], problem["detail"]) == (status, status, detail)
    kind = "invalid-body" if status == 400 else "invalid-image"
    assert problem["type"] == f"urn:problem-type:{kind}"
    assert problem["title"]


def test_an_error_points_at_the_bad_pixel(live_server):
    assert post(live_server, {"image": replaced(203, 255)}).json()["pointer"] == "/image/203"
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
    bodies = [{"image": replaced(0, 2)} if i % 3 == 0 else {"image": good} for i in range(48)]

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
    assert (
        response.json()["detail"]
        == "the body is over 1048576 bytes; an image of 784 numbers needs less than 20000"
    )


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


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/healthz/"])
def test_an_unknown_path_is_told_the_known_one(live_server, path):
    response = requests.get(f"{live_server.url}{path}", timeout=10)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == f"nothing is at {path}; predictions are at POST /predict"


def test_health_is_plain_ok(live_server):
    response = requests.get(f"{live_server.url}/healthz", timeout=10)

    assert (response.status_code, response.text) == (200, "OK")
    assert response.headers["Content-Type"].startswith("text/plain")


def test_a_request_id_is_kept_or_made(live_server):
    sent = requests.get(f"{live_server.url}/healthz", headers={"X-Request-ID": "abc-123"}, timeout=10)
    too_long = requests.get(f"{live_server.url}/healthz", headers={"X-Request-ID": "x" * 200}, timeout=10)
    made = [post(live_server, {"image": ZEROS}).headers["X-Request-ID"] for _ in range(2)]

    assert sent.headers["X-Request-ID"] == "abc-123"
    assert len(too_long.headers["X-Request-ID"]) == 32
    assert len(set(made)) == 2


def test_the_server_says_which_replica_it_is_and_nothing_of_its_software(live_server):
    headers = post(live_server, {"image": ZEROS}).headers

    assert headers["X-Served-By"]
    assert "Server" not in headers
