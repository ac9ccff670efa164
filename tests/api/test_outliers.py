"""Images that are no member of any class are told, whichever way they come."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import requests
import torch
from PIL import Image

from service.settings import BUNDLED_MODEL
from tests.support.http import SEVEN, TIMEOUT_SECONDS, ZEROS, get, post, problem_of
from tests.support.metrics import sample, scrape
from tests.support.pictures import save
from tests.support.server import Server
from tests.support.weights import npz
from tests.support.weights_file import read_weights_file

INFER = "/v2/models/mnist-cnn/infer"
IMAGES = {"seven": json.loads(SEVEN)["image"], "nothing": ZEROS}


@pytest.fixture(scope="module")
def energies():
    """The free energy that PyTorch gives for each image."""
    module = torch.jit.load(BUNDLED_MODEL)
    pixels = torch.tensor(list(IMAGES.values()), dtype=torch.float32).view(-1, 1, 28, 28)
    with torch.inference_mode():
        found = -torch.logsumexp(module(pixels), dim=1)
    return dict(zip(IMAGES, found.tolist(), strict=True))


def write(path, outlier):
    """Write the bundled network with this in its card."""
    module, card, golden = read_weights_file(BUNDLED_MODEL)
    extra = {"model.json": json.dumps(card | {"outlier": outlier}).encode(), "golden.npz": npz(**golden)}
    torch.jit.save(module, path, _extra_files=extra)
    return path


@pytest.fixture(scope="module")
def server(energies, tmp_path_factory):
    """A service with a threshold between the energies of the two images."""
    folder = tmp_path_factory.mktemp("outliers")
    outlier = {"score": "energy", "threshold": sum(energies.values()) / 2}
    server = Server(folder / "server.log", {"MODEL_PATH": write(folder / "weights.pt", outlier)})
    yield server.wait_until_ready()
    server.kill()


def infer(server, *, binary=False):
    tensor = {"name": "image", "datatype": "FP32", "shape": [2, 784], "data": [*IMAGES.values()]}
    wanted = {"name": "outlier", "parameters": {"binary_data": binary}}
    return post(server, {"inputs": [tensor], "outputs": [wanted]}, path=INFER)


def test_a_digit_is_none_and_an_empty_image_is_one(server, energies):
    assert energies["seven"] < energies["nothing"]
    for name, image in IMAGES.items():
        answer = post(server, {"image": image}).json()
        explained = post(server, {"image": image}, path="/predict?explain=true").json()

        assert list(answer) == ["digit", "confidence", "probabilities", "outlier", "model"]
        assert answer["outlier"] is explained["outlier"] is (name == "nothing")
        assert explained["outlier_score"] == pytest.approx(energies[name], abs=1e-3)


def test_each_of_many_has_its_own_verdict(server):
    answers = post(server, {"images": [*IMAGES.values(), *IMAGES.values()]}).json()["predictions"]

    assert [answer["outlier"] for answer in answers] == [False, True, False, True]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"image": ZEROS}).encode(), "application/json"),
        (bytes(784), "application/octet-stream"),
        (bytes(4 * 784), "application/octet-stream"),
        *((save(Image.new("RGB", (40, 30), colour)), "image/png") for colour in ("white", "black", "red")),
        (save(Image.new("RGBA", (28, 28))), "image/png"),
    ],
    ids=["json", "uint8", "float32", "white", "black", "red", "transparent"],
)
def test_nothing_gets_one_verdict_by_every_route(server, body, content_type):
    expected = post(server, {"image": ZEROS}).json()
    answer = post(server, body, content_type).json()

    assert answer["outlier"] is True
    assert answer["digit"] == expected["digit"]
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-5)


def test_a_form_with_a_blank_picture_gets_it_too(server):
    file = io.BytesIO(save(Image.new("L", (28, 28), 255)))
    answer = requests.post(f"{server.url}/predict", files={"file": file}, timeout=TIMEOUT_SECONDS)

    assert answer.json()["outlier"] is True


def test_a_model_without_a_threshold_refuses_a_blank_picture_and_tells_no_outliers(start_server, tmp_path):
    server = start_server(MODEL_PATH=write(tmp_path / "weights.pt", None))
    answer = post(server, SEVEN, path="/predict?explain=true").json()

    assert list(answer) == ["digit", "confidence", "probabilities", "model"]
    blank = post(server, save(Image.new("L", (28, 28))), "image/png")
    assert problem_of(blank) == (422, "blank-picture")
    assert scrape(server)[sample("outliers_total")] == 0


def test_the_open_inference_protocol_has_an_output_for_it(server):
    outputs = get(server, INFER.removesuffix("/infer")).json()["outputs"]
    assert {"name": "outlier", "datatype": "BOOL", "shape": [-1]} in outputs

    [given] = infer(server).json()["outputs"]
    assert given == {"name": "outlier", "datatype": "BOOL", "shape": [2], "data": [False, True]}

    answer = infer(server, binary=True)
    head = int(answer.headers["Inference-Header-Content-Length"])
    assert answer.content[head:] == b"\0\1"


def test_outliers_are_counted(server):
    total = sample("outliers_total")
    before = scrape(server)[total]

    for image in (*IMAGES.values(), ZEROS):
        post(server, {"image": image})
    post(server, {"image": ZEROS}, path="/predict?draft=true")

    assert scrape(server)[total] == before + 2


def test_the_description_has_what_the_answers_have(server):
    schema = get(server, "/openapi.json").json()["components"]["schemas"]["Prediction"]
    answer = post(server, SEVEN, path="/predict?explain=true").json()

    assert set(schema["required"]) <= set(answer) <= set(schema["properties"])
    assert "outlier" in schema["required"]


def test_explain_is_true_or_false(server):
    answer = post(server, SEVEN, path="/predict?explain=yes")

    assert problem_of(answer) == (422, "invalid-option")
    assert answer.json()["detail"] == "explain is 'yes'; expected true or false"
