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
from tests.support.server import Server

NAME = "mnist-cnn"
PATH = f"/predictions/{NAME}"
OTHER_PATH = "/predictions/some-classifier"
PICTURE = (STATIC / "seven.png").read_bytes()


def likeliest(server, data=PICTURE, content_type="image/png"):
    """What /predict says of a picture: the five likeliest classes and their probabilities."""
    top = post(server, data, content_type, path="/predict?top=5").json()["top"]
    return [(str(one["label"]), one["probability"]) for one in top]


def answer_of(response):
    """The classes and probabilities of an answer, in its order."""
    assert response.status_code == 200, response.text
    return list(response.json().items())


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/octet-stream",
        "image/png",
        "image/*",
        "text/plain",
        "application/json",
        "application/png",
    ],
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

    for arguments in (
        ["-T", "seven.png"],
        ["-F", "data=@seven.png"],
        ["-F", "data=<seven.png"],  # a field and no file
        ["--data-binary", "@seven.png"],
    ):
        done = subprocess.run(
            ["curl", "--silent", url, *arguments], cwd=tmp_path, capture_output=True, check=True
        )
        assert list(json.loads(done.stdout).items()) == likeliest(live_server)


@pytest.mark.parametrize("field", ["data", "body"])
def test_requests_sends_a_form(live_server, field):
    url = f"{live_server.url}{PATH}"

    by_bytes = requests.post(url, files={field: PICTURE}, timeout=10)
    # As run_inference in TorchServe's ts_scripts/tsutils.py does.
    with (STATIC / "seven.png").open("rb") as file:
        by_file = requests.post(url, files={field: ("seven.png", file)}, timeout=10)

    assert answer_of(by_bytes) == answer_of(by_file) == likeliest(live_server)


BASE64 = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain"])
@pytest.mark.parametrize(
    "body",
    [
        BASE64.encode(),
        base64.encodebytes(PICTURE),  # in lines
        json.dumps(BASE64).encode(),
        json.dumps({"data": BASE64, "target": 0}, indent=2).encode(),
        json.dumps({"data": None, "body": BASE64}).encode(),
    ],
    ids=["text", "lines", "string", "data", "body"],
)
def test_a_picture_may_come_in_base64(live_server, body, content_type):
    assert answer_of(post(live_server, body, content_type, path=PATH)) == likeliest(live_server)


def test_a_form_may_have_it_in_base64(live_server):
    response = requests.post(f"{live_server.url}{PATH}", files={"data": (None, BASE64)}, timeout=10)

    assert answer_of(response) == likeliest(live_server)


def test_other_json_is_what_predict_takes(live_server):
    one = post(live_server, SEVEN, path=PATH)
    many = post(live_server, {"images": [ZEROS, json.loads(SEVEN)["image"]]}, path=PATH)

    assert answer_of(one)[0][0] == "7"
    assert [len(each) for each in many.json()] == [5, 5]
    assert many.json()[1] == pytest.approx(one.json(), rel=1e-4)


@pytest.fixture(
    scope="module", params=["two classes, 64 x 64 in colour", "a thousand classes, 96 x 96 in colour"]
)
def served(request, tmp_path_factory):
    """A classifier of colour pictures, and the service with its weights."""
    folder = tmp_path_factory.mktemp("served")
    classifier = CLASSIFIERS[request.param]
    server = Server(folder / "server.log", {"MODEL_PATH": classifier.write(folder / "some.pt")})
    yield classifier, server.wait_until_ready()
    server.kill()


def test_another_model_answers_with_its_labels(served):
    classifier, server = served
    noise = np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8)
    data = save(Image.fromarray(noise), "JPEG")

    response = post(server, data, None, path=OTHER_PATH)

    assert answer_of(response) == likeliest(server, data, "image/jpeg")
    assert len(response.json()) == min(5, len(classifier.classes))


def test_lists_are_tensors_whose_channels_come_first(served):
    classifier, server = served
    pixels = classifier.images(1)[0] / 255
    planes = np.moveaxis(pixels, -1, 0)
    expected = likeliest(server, {"image": pixels.tolist()}, "application/json")

    for lists in (planes.tolist(), {"data": planes.tolist()}, {"body": planes.ravel().tolist()}):
        assert answer_of(post(server, lists, path=OTHER_PATH)) == expected


def test_other_lists_are_told_what_they_are(served):
    classifier, server = served
    channels, height, width = classifier.channels, classifier.height, classifier.width
    pixels = classifier.images(1)[0] / 255
    planes = np.moveaxis(pixels, -1, 0)

    channels_last = post(server, {"data": pixels.tolist()}, path=OTHER_PATH)
    normalised = post(server, {"data": (planes * 0 - 1).tolist()}, path=OTHER_PATH)
    bright = post(server, (planes * 255).round().tolist(), path=OTHER_PATH)

    assert (channels_last.status_code, channels_last.json()["message"]) == (
        400,
        f"the input's shape is [1, {height}, {width}, 3]; expected [N, {channels}, {height}, {width}] or "
        f"[N, {pixels.size}]",
    )
    assert (normalised.status_code, normalised.json()["message"]) == (
        422,
        "data[0] is -1.0; pixels are 0..1",
    )
    assert bright.json()["message"].startswith("body[")
    assert bright.json()["message"].endswith("; pixels are 0..1, so divide by 255")


def test_the_bundled_models_lists(live_server):
    image = json.loads(SEVEN)["image"]
    rows = np.reshape(image, (28, 28)).tolist()
    expected = answer_of(post(live_server, SEVEN, path=PATH))

    for lists in (image, rows, [rows]):
        assert answer_of(post(live_server, lists, path=PATH)) == expected


NO_VERSION = f"Model version: 9 does not exist for model: {NAME}"


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "type_", "message"),
    [
        ("POST", "/predictions/other", PICTURE, 404, "ModelNotFoundException", "Model not found: other"),
        ("PUT", "/predictions/other/1", PICTURE, 404, "ModelNotFoundException", "Model not found: other"),
        ("POST", f"{PATH}/9", PICTURE, 404, "ModelVersionNotFoundException", NO_VERSION),
        (
            "POST",
            f"{PATH}/all",
            PICTURE,
            404,
            "ModelVersionNotFoundException",
            NO_VERSION.replace("9", "all"),
        ),
        ("GET", "/models/other", None, 404, "ModelNotFoundException", "Model not found: other"),
        ("GET", f"/models/{NAME}/9", None, 404, "ModelVersionNotFoundException", NO_VERSION),
        ("GET", PATH, None, 405, "MethodNotAllowedException", f"GET is not allowed on {PATH}; use "),
        ("POST", "/ping", None, 405, "MethodNotAllowedException", "POST is not allowed on /ping; use "),
        ("GET", "/models/a/b/c", None, 404, "ResourceNotFoundException", "nothing is at /models/a/b/c"),
        ("POST", "/predictions", PICTURE, 404, "ResourceNotFoundException", "nothing is at /predictions; "),
        ("POST", f"/explanations/{NAME}", PICTURE, 404, "ResourceNotFoundException", "there are no explan"),
        (
            "PUT",
            f"/models/{NAME}/1.0/set-default",
            None,
            404,
            "ResourceNotFoundException",
            "there is one version of the model",
        ),
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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("not base64!", "the body is a string, but no picture in base64"),
        ({"data": "grün"}, "the data is a string, but no picture in base64"),
        ({"body": 5}, "the body is neither a picture in base64 nor a list of numbers"),
        ("abcd", "the body is not a PNG, JPEG or WebP picture"),
        (b"abcd", "the body is not a PNG, JPEG or WebP picture"),
        (b'{"data": ', "the body is not JSON: Expecting value: line 1 column 10 (char 9)"),
        ([], "the input's shape is [1]; expected [N, 1, 28, 28], [N, 28, 28] or [N, 784]"),
        ([1, [2]], "the input's shape is [1, 2]; expected [N, 1, 28, 28], [N, 28, 28] or [N, 784]"),
        ([[0] * 28] * 27 + [0], "the input's data is not an even tensor: its rows differ in length"),
    ],
)
def test_what_is_no_picture_is_told_what_it_is(live_server, body, message):
    response = post(live_server, body, path=PATH)

    assert response.status_code == 400
    assert response.json() == {"code": 400, "type": "BadRequestException", "message": message}


def test_limits_are_those_of_predict(start_server):
    server = start_server(MAX_QUEUE_SIZE=1, MAX_PICTURE_BYTES=2048)
    head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()

    with server.connect() as first:
        first.sendall(head)
        assert server.health() == 200  # and so the head has been read
        full = post(server, PICTURE, path=PATH)
    large = post(server, bytes(4096), path=PATH)

    assert (full.status_code, full.json()["type"]) == (503, "ServiceUnavailableException")
    assert full.headers["Retry-After"] == "1"
    assert (large.status_code, large.json()) == (
        413,
        {"code": 413, "type": "BadRequestException", "message": "the body is over 2048 bytes"},
    )


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
