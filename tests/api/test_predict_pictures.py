"""Pictures and forms, through `POST /predict` of a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from tests.support.http import post, problem_of
from tests.support.pictures import enlarged, photographed, png, save
from tests.support.scenes import picture


def pixels(digit):
    return (digit / 255).ravel().tolist()


def test_enlarged_digits_are_recognised_over_http(live_server, digits, labels):
    pictures = [save(enlarged(digit, seed)) for seed, digit in enumerate(digits)]

    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(lambda each: post(live_server, each, "image/png"), pictures))

    assert {response.status_code for response in responses} == {200}
    assert np.mean([response.json()["digit"] for response in responses] == labels) >= 0.98


@pytest.mark.parametrize("scene", ["frame", "table", "shadow"])
def test_digits_in_surroundings_are_recognised_over_http(live_server, digits, labels, scene):
    pictures = [save(picture(scene, digit, seed)) for seed, digit in enumerate(digits[100:150])]

    answers = [post(live_server, each, "image/png").json() for each in pictures]

    wrong = np.array([answer["digit"] for answer in answers]) != labels[100:150]
    confident = np.array([answer["confidence"] for answer in answers]) > 0.9
    assert wrong.mean() <= 0.04
    assert (wrong & confident).mean() <= 0.01


def test_a_photograph_of_twelve_megapixels_is_recognised_over_http(live_server, digits):
    taken = save(photographed(digits[0], 0).resize((4032, 3024)), "JPEG", quality=60)

    assert post(live_server, taken, "image/jpeg").json()["digit"] == 7


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_the_preview_is_the_image_that_was_predicted(live_server, digits, format_):
    picture = save(enlarged(digits[0], 0), format_)

    answer = post(live_server, picture, f"image/{format_.lower()}", path="/predict?preview=true").json()

    np.testing.assert_allclose(
        answer["image"], read_picture(picture, 1 << 22, SHAPE, Preprocessing()), atol=1e-7
    )
    again = post(live_server, {"image": answer.pop("image")}).json()
    assert answer["probabilities"] == pytest.approx(again["probabilities"], abs=1e-6)
    assert answer == post(live_server, picture, f"Image/{format_}; q=1", path="/predict?preview=false").json()


def test_a_form_gets_the_same_answer(live_server, digits):
    picture = save(enlarged(digits[3], 3))

    response = requests.post(
        f"{live_server.url}/predict?preview=true",
        files={"file": ("digit.png", picture, "image/png")},
        data={"note": "a field that means nothing here"},
        timeout=10,
    )

    assert response.json() == post(live_server, picture, "image/png", path="/predict?preview=true").json()


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "multipart/form-data", "has no boundary"),
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

    assert problem_of(response) == (400, "invalid-body")
    assert reason in response.json()["detail"]


def test_a_form_with_two_files_is_refused(live_server):
    files = [("image", ("a.png", b"a")), ("image", ("b.png", b"b"))]

    response = requests.post(f"{live_server.url}/predict", files=files, timeout=10)

    assert problem_of(response) == (400, "invalid-body")


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (png(2049, 2049), (413, "picture-too-large")),
        (b"GIF89a", (400, "invalid-body")),
        (b"", (400, "invalid-body")),
    ],
)
def test_a_wrong_picture_is_refused(live_server, picture, expected):
    assert problem_of(post(live_server, picture, "image/png")) == expected


def test_an_option_that_means_nothing_is_refused(live_server, digits):
    response = post(live_server, {"image": pixels(digits[0])}, path="/predict?preview=perhaps")

    assert problem_of(response) == (422, "invalid-option")
    assert response.json()["detail"] == "preview is 'perhaps'; expected true or false"


def test_a_preview_of_numbers_is_the_numbers(live_server, digits):
    answer = post(live_server, {"image": pixels(digits[0])}, path="/predict?preview=true").json()

    assert answer["image"] == pixels(digits[0])
    assert answer["digit"] == 7
