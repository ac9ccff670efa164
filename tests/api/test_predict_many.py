"""Many images in one request: each answered as if it were alone, within the limits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http import ZEROS, post, problem_of, raw_post
from tests.support.metrics import scrape
from tests.support.pictures import png


def pixels(digit):
    return (digit / 255).ravel().tolist()


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
        ({"image": [1] * 300_000}, 413, "the body has 299999 values, more than 256 images of", None),
        ({"images": [[]] * 100_000}, 413, "the body has 100001 lists, more than 256 images of", None),
        ({"images": [{}] * 100_000}, 400, "the body has 100001 objects; expected an object with", None),
        ({f"{i:x}": i for i in range(50_000)}, 400, "the body has 50000 members; expected", None),
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
    assert problem_of(post(server, {"images": [ZEROS] * 3})) == (413, "too-many-images")
    assert problem_of(post(server, png(40, 40), "image/png")) == (413, "picture-too-large")


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
            assert problem_of(response) == (503, "queue-full")
            assert response.headers["Retry-After"] == "1"
    counted = sum(value for (name, *_), value in scrape(server).items() if name == "predictions_total")
    assert counted == 8 * statuses.count(200)


def test_a_client_that_leaves_does_no_harm(live_server):
    body = json.dumps({"images": [ZEROS] * 200}).encode()
    for _ in range(3):
        with live_server.connect() as connection:
            connection.sendall(raw_post("/predict", "application/json", body))

    assert post(live_server, {"images": [ZEROS] * 200}).status_code == 200
    assert all(line["level"] in ("INFO", "WARNING") for line in live_server.lines())
