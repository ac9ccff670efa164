"""Pictures, forms and many images at once, through ``POST /predict`` of a real server."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from PIL import Image

from service.images import read_picture
from tests.test_images import png_of, save, scatter


def post(server, body, content_type="application/json", query=""):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(
        f"{server.url}/predict{query}", data=data, headers={"Content-Type": content_type}, timeout=20
    )


def refusal(response):
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["type"].removeprefix("urn:problem-type:")


def pixels(digit):
    return (digit / 255).ravel().tolist()


def test_blown_up_digits_are_recognised_over_http(live_server, digits, labels):
    pictures = [save(scatter(digit, seed)) for seed, digit in enumerate(digits)]

    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(lambda picture: post(live_server, picture, "image/png"), pictures))

    assert {response.status_code for response in responses} == {200}
    assert np.mean([response.json()["digit"] for response in responses] == labels) >= 0.98


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_the_preview_is_the_image_that_was_predicted(live_server, digits, format_):
    picture = save(scatter(digits[0], 0), format_)

    answer = post(live_server, picture, f"image/{format_.lower()}", "?preview=true").json()

    np.testing.assert_allclose(answer["image"], read_picture(picture, 1 << 22), atol=1e-7)
    again = post(live_server, {"image": answer.pop("image")}).json()
    assert answer["probabilities"] == pytest.approx(again["probabilities"], abs=1e-6)
    assert answer == post(live_server, picture, f"Image/{format_}; q=1", "?preview=false").json()


def test_a_form_gets_the_same_answer(live_server, digits):
    picture = save(scatter(digits[3], 3))

    response = requests.post(
        f"{live_server.url}/predict?preview=true",
        files={"file": ("digit.png", picture, "image/png")},
        data={"note": "a field that means nothing here"},
        timeout=10,
    )

    assert response.json() == post(live_server, picture, "image/png", "?preview=true").json()


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "multipart/form-data", "Missing boundary"),
        (b"nonsense", "multipart/form-data; boundary=x", "can't be read"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "0 files; send one"),
        (
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nno file\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            "0 files; send one",
        ),
    ],
)
def test_a_form_without_a_file_is_refused(live_server, body, content_type, reason):
    response = post(live_server, body, content_type)

    assert refusal(response) == (400, "invalid-body")
    assert reason in response.json()["detail"]


def test_a_form_with_two_files_is_refused(live_server):
    files = [("image", ("a.png", b"a")), ("image", ("b.png", b"b"))]

    response = requests.post(f"{live_server.url}/predict", files=files, timeout=10)

    assert refusal(response) == (400, "invalid-body")


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (save(Image.new("L", (28, 28), 255)), (422, "blank-picture")),
        (png_of(2049, 2049), (413, "picture-too-large")),
        (b"GIF89a", (400, "invalid-body")),
        (b"", (400, "invalid-body")),
    ],
)
def test_a_wrong_picture_is_refused(live_server, picture, expected):
    assert refusal(post(live_server, picture, "image/png")) == expected


def test_an_option_that_means_nothing_is_refused(live_server, digits):
    response = post(live_server, {"image": pixels(digits[0])}, query="?preview=perhaps")

    assert refusal(response) == (422, "invalid-option")
    assert response.json()["detail"] == "preview is 'perhaps'; expected true or false"


def test_a_preview_of_numbers_is_the_numbers(live_server, digits):
    answer = post(live_server, {"image": pixels(digits[0])}, query="?preview=true").json()

    assert answer["image"] == pixels(digits[0])
    assert answer["digit"] == 7


def test_many_images_get_the_answers_that_each_gets_alone(live_server, digits):
    images = [pixels(digit) for digit in digits[:50]]

    answer = post(live_server, {"images": images}).json()

    assert answer.keys() == {"predictions"}
    alone = [post(live_server, {"image": image}).json() for image in images]
    for one, other in zip(answer["predictions"], alone, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
        assert one["digit"] == other["digit"]
        assert one["model"] == other["model"]


def test_many_nested_images_are_taken_too(live_server, digits):
    flat = post(live_server, {"images": [pixels(digit) for digit in digits[:3]]}).json()
    nested = post(live_server, {"images": [(digit / 255).tolist() for digit in digits[:3]]}).json()

    for one, other in zip(flat["predictions"], nested["predictions"], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


ZEROS = [0] * 784


@pytest.mark.parametrize(
    ("body", "status", "detail", "pointer"),
    [
        ({"images": []}, 422, "images is empty; send at least one image", "/images"),
        ({"images": 7}, 422, "images is the number 7; expected a list of images", "/images"),
        ({"images": [ZEROS, [0] * 3]}, 422, "images[1] has 3 pixels; expected 784", "/images/1"),
        ({"images": [ZEROS, "x"]}, 422, "images[1] is the string 'x'; expected a list", "/images/1"),
        ({"images": [[*ZEROS[1:], None]]}, 422, "images[0][783] is null; expected", "/images/0/783"),
        ({"images": [ZEROS, [*ZEROS[1:], 2]]}, 422, "images[1][783] is 2.0; pixels are", "/images/1/783"),
        ({"images": [[[0] * 28] * 27 + [[0] * 27]]}, 422, "images[0][27] has 27 pixels", "/images/0/27"),
        ({"images": [ZEROS], "image": ZEROS}, 422, 'both "image" and "images"', ""),
        ({"images": [[0] * 784] * 257}, 413, "images has 257 images; at most 256 in one request", None),
        ({"image": "images", "x": '"images"'}, 422, "image is the string 'images'", "/image"),
    ],
)
def test_a_mistake_among_many_images_is_named(live_server, body, status, detail, pointer):
    response = post(live_server, body)

    assert response.status_code == status
    assert response.json()["detail"].startswith(detail)
    assert response.json().get("pointer") == pointer


def test_the_number_of_images_in_a_request_is_a_setting(start_server):
    server = start_server(MAX_IMAGES_PER_REQUEST=2, MAX_PICTURE_PIXELS=1000)

    assert post(server, {"images": [ZEROS] * 2}).status_code == 200
    assert refusal(post(server, {"images": [ZEROS] * 3})) == (413, "too-many-images")
    assert refusal(post(server, png_of(40, 40), "image/png")) == (413, "picture-too-large")


def test_many_images_are_queued_together_or_not_at_all(start_server):
    server = start_server(MAX_QUEUE_SIZE=8, MAX_BATCH_SIZE=1)

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: post(server, {"images": [ZEROS] * 8}), range(64)))

    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 503}
    for response in responses:
        if response.status_code == 200:
            assert len(response.json()["predictions"]) == 8
        else:
            assert refusal(response) == (503, "queue-full")
            assert response.headers["Retry-After"] == "1"
    metrics = requests.get(f"{server.url}/metrics", timeout=10).text
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("predictions_total{")
    )
    assert counted == 8 * statuses.count(200)


def test_a_client_that_leaves_does_no_harm(live_server):
    body = json.dumps({"images": [ZEROS] * 200}).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    host, port = live_server.url.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)

    assert post(live_server, {"images": [ZEROS] * 200}).status_code == 200
    assert all(line["level"] in ("INFO", "WARNING") for line in live_server.lines())


def test_infinite_pixels_leave_no_trace(live_server):
    image = np.zeros(784, "<f4")
    image[:2] = np.inf, -np.inf

    response = post(live_server, image.tobytes(), "application/octet-stream")

    assert refusal(response) == (422, "invalid-image")
    assert live_server.lines()  # every line is JSON: no library has written a warning of its own
