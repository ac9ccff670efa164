"""Clients of TorchServe's image_classifier get their answers, by the ways that its documentation shows."""

from __future__ import annotations

import base64
import json
import subprocess

import numpy as np
import pytest
import requests
from PIL import Image

from service.api.ui import STATIC
from tests.support.classifiers import CLASSIFIERS
from tests.support.http import SEVEN, ZEROS, get, post
from tests.support.pictures import save

NAME = "mnist-cnn"
PATH = f"/predictions/{NAME}"
PICTURE = (STATIC / "seven.png").read_bytes()


def likeliest(server, data=PICTURE):
    """What /predict says of a picture: the five likeliest classes and their probabilities."""
    top = post(server, data, "image/png", path="/predict?top=5").json()["top"]
    return [(str(one["label"]), one["probability"]) for one in top]


def answer_of(response):
    """The classes and probabilities of an answer, in its order."""
    assert response.status_code == 200, response.text
    return list(response.json().items())


@pytest.mark.parametrize(
    "content_type", [None, "application/octet-stream", "image/png", "image/*", "text/plain"]
)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/VERSION"])
def test_a_picture_is_one_whatever_its_content_type(live_server, path, content_type):
    version = get(live_server, f"/models/{NAME}").json()[0]["modelVersion"]

    response = post(live_server, PICTURE, content_type, path=path.replace("VERSION", version))

    assert answer_of(response) == likeliest(live_server)
    assert answer_of(response)[0][0] == "7"


def test_curl_uploads_a_file(live_server, tmp_path):
    (tmp_path / "seven.png").write_bytes(PICTURE)
    url = f"{live_server.url}{PATH}"

    for arguments in (["-T", "seven.png"], ["-F", "data=@seven.png"], ["--data-binary", "@seven.png"]):
        done = subprocess.run(
            ["curl", "--silent", url, *arguments], cwd=tmp_path, capture_output=True, check=True
        )
        assert list(json.loads(done.stdout).items()) == likeliest(live_server)


@pytest.mark.parametrize("field", ["data", "body"])
def test_requests_sends_a_form(live_server, field):
    response = requests.post(f"{live_server.url}{PATH}", files={field: PICTURE}, timeout=10)

    assert answer_of(response) == likeliest(live_server)


def test_a_json_string_is_a_picture_in_base64(live_server):
    response = post(live_server, base64.b64encode(PICTURE).decode(), path=PATH)

    assert answer_of(response) == likeliest(live_server)


def test_other_json_is_what_predict_takes(live_server):
    one = post(live_server, SEVEN, path=PATH)
    many = post(live_server, {"images": [ZEROS, json.loads(SEVEN)["image"]]}, path=PATH)

    assert answer_of(one)[0][0] == "7"
    assert [len(each) for each in many.json()] == [5, 5]
    assert many.json()[1] == pytest.approx(one.json(), rel=1e-4)


@pytest.mark.parametrize("name", ["two classes, 64 x 64 in colour", "a thousand classes, 96 x 96 in colour"])
def test_another_model_answers_with_its_labels(start_server, tmp_path, name):
    classifier = CLASSIFIERS[name]
    server = start_server(MODEL_PATH=classifier.write(tmp_path / "some.pt"))
    noise = np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8)
    data = save(Image.fromarray(noise), "JPEG")

    response = post(server, data, None, path="/predictions/some-classifier")

    assert answer_of(response) == likeliest(server, data)
    assert len(response.json()) == min(5, len(classifier.classes))
    assert get(server, "/models").json() == {
        "models": [{"modelName": "some-classifier", "modelUrl": "some.pt"}]
    }


def test_the_models_are_described(live_server):
    [described] = get(live_server, f"/models/{NAME}").json()
    [again] = get(live_server, f"/models/{NAME}/{described['modelVersion']}").json()

    assert described == again
    assert described["modelName"] == NAME
    assert (described["minWorkers"], described["maxWorkers"], described["batchSize"]) == (1, 1, 64)
    assert described["workers"][0]["status"] == "READY"
    assert described["jobQueueStatus"] == {"remainingCapacity": 1024, "pendingRequests": 0}


def test_ping(live_server):
    assert get(live_server, "/ping").json() == {"status": "Healthy"}


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "type_", "message"),
    [
        (
            "POST",
            "/predictions/other",
            PICTURE,
            404,
            "ModelNotFoundException",
            "there is no model 'other'; ",
        ),
        ("POST", f"{PATH}/9", PICTURE, 404, "ModelNotFoundException", "there is no version '9' of mnist-cnn"),
        ("GET", "/models/other", None, 404, "ModelNotFoundException", "there is no model 'other'; "),
        ("GET", PATH, None, 405, "MethodNotAllowedException", f"GET is not allowed on {PATH}; use "),
        ("GET", "/models/a/b/c", None, 404, "ResourceNotFoundException", "nothing is at /models/a/b/c"),
        ("POST", "/models?url=x.mar", None, 405, "MethodNotAllowedException", "models are not registered by"),
        (
            "PUT",
            f"/models/{NAME}?min_worker=3",
            None,
            405,
            "MethodNotAllowedException",
            "workers are not",
        ),
        ("DELETE", f"/models/{NAME}", None, 405, "MethodNotAllowedException", "the model stays loaded"),
        ("POST", PATH, b"no picture", 400, "BadRequestException", "the body is not a PNG"),
        ("POST", PATH, b"", 400, "BadRequestException", "the body is not a PNG"),
        ("POST", PATH, PICTURE[:200], 400, "BadRequestException", ""),
    ],
)
def test_errors_are_told_as_torchserve_tells_them(live_server, method, path, body, code, type_, message):
    response = requests.request(method, f"{live_server.url}{path}", data=body, timeout=10)

    assert response.status_code == code, response.text
    error = response.json()
    assert error == {"code": code, "type": type_, "message": error["message"]}
    assert error["message"].startswith(message)


def test_a_string_that_is_no_base64(live_server):
    response = post(live_server, "not base64!", path=PATH)

    assert response.json() == {
        "code": 400,
        "type": "BadRequestException",
        "message": "the body is a JSON string, but no picture in base64",
    }


def test_keys_are_needed_where_there_are_keys(start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    server = start_server(API_KEYS_FILE=keys)

    refused = post(server, PICTURE, "image/png", path=PATH)
    allowed = post(server, PICTURE, "image/png", path=PATH, Authorization="Bearer secret")

    assert (refused.status_code, refused.json()["type"]) == (401, "InvalidKeyException")
    assert answer_of(allowed)[0][0] == "7"
    assert get(server, "/ping").status_code == get(server, f"/models/{NAME}").status_code == 200


def test_what_they_ask_for_is_counted(live_server):
    path = f"/v2/models/{NAME}/stats"
    before = get(live_server, path).json()["model_stats"][0]["inference_stats"]["success"]["count"]
    post(live_server, PICTURE, "image/png", path=PATH)
    after = get(live_server, path).json()["model_stats"][0]["inference_stats"]["success"]["count"]

    assert after == before + 1
