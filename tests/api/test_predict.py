"""`POST /predict` on a real server: right answers, in every form of an image."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from service.api.predict import respond
from service.inference.card import Card
from service.inference.prediction import Prediction
from service.settings import BUNDLED_MODEL
from tests.support.http import post
from tests.support.paths import DATA


@pytest.mark.parametrize("digit", range(10))
def test_the_guides_digits_are_right(live_server, digit):
    response = post(live_server, (DATA / f"digit-{digit}.json").read_bytes())

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    assert answer.keys() == {"digit", "confidence", "probabilities", "model", "outlier"}
    assert answer["outlier"] is False
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


def test_a_prediction_is_encoded_whole():
    probabilities = np.array([0.75, 0.25] + [0.0] * 8, np.float32)

    assert json.loads(respond(Prediction(0, 0.75, probabilities, Card("digits", "v1", {}))).body) == {
        "digit": 0,
        "confidence": 0.75,
        "probabilities": [0.75, 0.25, 0, 0, 0, 0, 0, 0, 0, 0],
        "model": {"name": "digits", "version": "v1"},
    }
