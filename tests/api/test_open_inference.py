"""The Open Inference Protocol, by the client of another project and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.support.http import ZEROS, post

MODEL = "mnist-cnn"


@pytest.fixture(scope="module")
def client(live_server):
    client = triton.InferenceServerClient(live_server.url.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def expected(live_server, digits):
    images = (digits[:20] / 255).reshape(20, 784).tolist()
    return post(live_server, {"images": images}).json()["predictions"]


def tensor(array, datatype, *, binary=True):
    return triton.InferInput("image", list(array.shape), datatype).set_data_from_numpy(array, binary)


INPUTS = {
    "FP32": lambda digits: (digits / np.float32(255)).reshape(-1, 1, 28, 28),
    "FP64": lambda digits: (digits / 255).reshape(-1, 28, 28),
    "FP16": lambda digits: (digits / 255).astype(np.float16).reshape(-1, 1, 28, 28),
    "UINT8": lambda digits: digits.reshape(-1, 784),
}


@pytest.mark.parametrize("binary_output", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("binary_input", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("datatype", INPUTS)
def test_tritons_client_gets_what_predict_answers(
    client, digits, expected, datatype, binary_input, binary_output
):
    image = tensor(INPUTS[datatype](digits[:20]), datatype, binary=binary_input)
    atol = 1e-3 if datatype == "FP16" else 1e-5  # of pixels that were rounded
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary_output)
        for name in ("probabilities", "digit", "confidence")
    ]

    result = client.infer(MODEL, [image], outputs=outputs, request_id="seven")

    assert result.as_numpy("digit").tolist() == [answer["digit"] for answer in expected]
    np.testing.assert_allclose(
        result.as_numpy("probabilities"), [answer["probabilities"] for answer in expected], atol=atol
    )
    np.testing.assert_allclose(
        result.as_numpy("confidence"), [answer["confidence"] for answer in expected], atol=atol
    )
    response = result.get_response()
    assert response["id"] == "seven"
    assert response["model_name"] == expected[0]["model"]["name"]
    assert response["model_version"] == expected[0]["model"]["version"]


def test_tritons_client_gets_every_output_if_it_names_none(client, digits, expected):
    image = tensor(INPUTS["FP32"](digits[:1]), "FP32")

    result = client.infer(MODEL, [image], model_version=expected[0]["model"]["version"])

    assert [output["name"] for output in result.get_response()["outputs"]] == [
        "digit",
        "confidence",
        "probabilities",
        "outlier",
    ]
    assert result.as_numpy("outlier").tolist() == [False]
    assert result.as_numpy("digit").dtype == np.int64
    assert result.as_numpy("probabilities").shape == (1, 10)


def test_tritons_client_sees_health_and_metadata(client, expected):
    version = expected[0]["model"]["version"]

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, version)
    assert not client.is_model_ready("resnet")
    assert client.get_server_metadata()["extensions"][0] == "binary_tensor_data"
    assert client.get_model_metadata(MODEL, version) == {
        "name": MODEL,
        "versions": [version],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 28, 28]}],
        "outputs": [
            {"name": "digit", "datatype": "INT64", "shape": [-1]},
            {"name": "confidence", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "outlier", "datatype": "BOOL", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize(("name", "version"), [("resnet", ""), (MODEL, "1")])
def test_tritons_client_understands_a_refusal(client, digits, name, version):
    image = tensor(INPUTS["UINT8"](digits[:1]), "UINT8")

    with pytest.raises(InferenceServerException, match="is served") as refusal:
        client.infer(name, [image], model_version=version)

    assert refusal.value.status() == "404"


GOOD = {"name": "image", "datatype": "FP32", "shape": [1, 784], "data": ZEROS}


def infer(server, body, **headers):
    return post(server, body, None, path=f"/v2/models/{MODEL}/infer", **headers)


def test_data_may_be_nested_and_outputs_are_json_by_default(live_server, digits):
    nested = {**GOOD, "shape": [1, 28, 28], "data": (digits[:1] / 255).tolist()}

    answer = infer(live_server, {"inputs": [nested]}).json()

    assert answer.keys() == {"model_name", "model_version", "outputs"}
    digit = answer["outputs"][0]
    assert digit == {"name": "digit", "datatype": "INT64", "shape": [1], "data": [7]}


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "the body is not JSON"),
        (b"{", 400, "the body is not JSON"),
        ([], 400, "not a JSON object"),
        ({}, 400, "the model takes one input"),
        ({"inputs": {}}, 400, "the model takes one input"),
        ({"inputs": [GOOD, GOOD]}, 400, "the model takes one input"),
        ({"inputs": [7]}, 400, "the model takes one input"),
        ({"inputs": [{**GOOD, "name": "x"}]}, 400, "the input is called 'x'; the model takes 'image'"),
        ({"inputs": [{**GOOD, "datatype": "BYTES"}]}, 400, "BYTES; expected FP32, FP64, FP16, UINT8"),
        ({"inputs": [{**GOOD, "datatype": []}]}, 400, "datatype is []"),
        ({"inputs": [{**GOOD, "shape": [784]}]}, 400, "shape is [784]; expected [N, 1, 28, 28]"),
        ({"inputs": [{**GOOD, "shape": [0, 784]}]}, 400, "shape is [0, 784]"),
        ({"inputs": [{**GOOD, "shape": [1.0, 784]}]}, 400, "shape is [1.0, 784]"),
        ({"inputs": [{**GOOD, "shape": [True, 784]}]}, 400, "shape is [True, 784]"),
        ({"inputs": [{**GOOD, "shape": None}]}, 400, "shape is None"),
        ({"inputs": [{**GOOD, "shape": []}]}, 400, "shape is []"),
        ({"inputs": [{**GOOD, "shape": [2, 784]}]}, 400, "has 784 elements; its shape [2, 784] has 1568"),
        ({"inputs": [{**GOOD, "shape": [10**18, 784]}]}, 400, "has 784 elements"),
        ({"inputs": [{**GOOD, "data": None}]}, 400, "no data"),
        ({"inputs": [{**GOOD, "data": [[0, 0], [0]]}]}, 400, "not an even tensor"),
        ({"inputs": [{**GOOD, "data": ["0"] * 784}]}, 400, "not all float32 numbers"),
        ({"inputs": [{**GOOD, "data": [None] * 784}]}, 400, "not all float32 numbers"),
        ({"inputs": [{**GOOD, "data": [2] + [0] * 783}]}, 422, "image[0][0] is 2.0; pixels are 0..1"),
        ({"inputs": [{**GOOD, "data": [1e300] + [0] * 783}]}, 422, "image[0][0] is inf; pixels are finite"),
        ({"inputs": [{**GOOD, "datatype": "UINT8", "data": [256] * 784}]}, 422, "which lie in 0..255"),
        ({"inputs": [{**GOOD, "datatype": "UINT8", "data": [0.5] * 784}]}, 400, "not all uint8 numbers"),
        ({"inputs": [{**GOOD, "parameters": 7}]}, 400, "parameters is not an object"),
        ({"inputs": [{**GOOD, "parameters": {"binary_data_size": 9}}]}, 400, "0 bytes follow the JSON"),
        ({"inputs": [GOOD], "outputs": 7}, 400, "outputs is not a list of objects"),
        ({"inputs": [GOOD], "outputs": [{"name": "logits"}]}, 400, "there is no output 'logits'"),
        ({"inputs": [GOOD], "parameters": {"binary_data_output": 1}}, 400, "binary_data_output is 1"),
        (
            {"inputs": [GOOD], "outputs": [{"name": "digit", "parameters": {"classification": 3}}]},
            400,
            "ask for probabilities, which has every class",
        ),
    ],
)
def test_a_broken_request_is_told_what_is_wrong(live_server, body, status, error):
    response = infer(live_server, body)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert error in response.json()["error"]


@pytest.mark.parametrize(
    ("length", "data", "size", "error"),
    [
        ("x", bytes(784), 784, "content-length is 'x'"),
        ("-1", bytes(784), 784, "content-length is '-1'"),
        ("99999", bytes(784), 784, "content-length is '99999'"),
        (None, bytes(784), 783, "binary_data_size is 783; 784 bytes follow"),
        (None, bytes(784), "784", "binary_data_size is 784; 784 bytes follow"),
        (None, bytes(783), 783, "the input has 783 elements"),
    ],
)
def test_broken_binary_data_is_told_what_is_wrong(live_server, length, data, size, error):
    head = {"name": "image", "datatype": "UINT8", "shape": [1, 784], "parameters": {"binary_data_size": size}}
    text = json.dumps({"inputs": [head]}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(text))}

    response = infer(live_server, text + data, **headers)

    assert response.status_code == 400
    assert error in response.json()["error"]


def test_a_half_of_an_element_is_refused(live_server):
    head = {"name": "image", "datatype": "FP32", "shape": [1, 784], "parameters": {"binary_data_size": 3135}}
    text = json.dumps({"inputs": [head]}).encode()

    response = infer(live_server, text + bytes(3135), **{"Inference-Header-Content-Length": str(len(text))})

    assert response.json()["error"] == "binary_data_size is 3135; an element has 4 bytes"


def test_stray_bytes_are_refused(live_server):
    text = json.dumps({"inputs": [GOOD]}).encode()

    response = infer(live_server, text + b"xx", **{"Inference-Header-Content-Length": str(len(text))})

    assert response.json()["error"] == "2 bytes follow the JSON, but the input has no binary_data_size"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", f"/v2/models/{MODEL}/infer", 405),
        ("POST", "/v2", 405),
        ("GET", "/v2/models/resnet", 404),
        ("GET", f"/v2/models/{MODEL}/versions/1/ready", 404),
    ],
)
def test_errors_have_the_protocols_shape_everywhere(live_server, method, path, status):
    response = requests.request(method, live_server.url + path, timeout=10)

    assert response.status_code == status
    assert response.json().keys() == {"error"}


def test_more_images_than_the_limit_are_refused(live_server):
    many = {**GOOD, "datatype": "UINT8", "shape": [257, 784], "data": [0] * 784 * 257}

    response = infer(live_server, {"inputs": [many]})

    assert response.status_code == 413
    assert response.json()["error"] == "image has 257 images; at most 256 in one request"
