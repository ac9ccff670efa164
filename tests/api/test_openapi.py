"""The OpenAPI description against the service that it describes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from service.api.app import create_app
from service.api.openapi import describe
from service.api.ui import PAGES, STATIC
from service.inference.weights import read_weights
from service.settings import BUNDLED_MODEL, Settings
from tests.support.http import get, post

CARD = read_weights(BUNDLED_MODEL).card
DOCUMENT = describe(Settings(), CARD)
MODEL_PATH = "/v2/models/mnist-cnn"


def request_examples():
    """Every example of a request body, with the address that it is for."""
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            if not isinstance(operation, dict) or "requestBody" not in operation:
                continue
            for content_type, media in operation["requestBody"]["content"].items():
                for name, example in media.get("examples", {}).items():
                    yield pytest.param(path, content_type, example, id=f"{path} {content_type} {name}")


def validate(value, schema):
    jsonschema.validate(
        value, {**schema, "components": DOCUMENT["components"]}, jsonschema.Draft202012Validator
    )


@pytest.mark.parametrize(("path", "content_type", "example"), list(request_examples()))
def test_every_example_of_a_request_is_answered_with_seven(live_server, path, content_type, example):
    served = get(live_server, MODEL_PATH).json()
    target = path.format(name=served["name"], version=served["versions"][0])
    if "x-file" in example:
        picture = get(live_server, f"/{example['x-file']}")
        assert picture.headers["Content-Type"] == content_type
        response = post(live_server, picture.content, content_type, path=target)
    else:
        validate(
            example["value"],
            DOCUMENT["paths"][path]["post"]["requestBody"]["content"][content_type]["schema"],
        )
        response = post(live_server, example["value"], content_type, path=target)

    assert response.status_code == 200
    answer = response.json()
    validate(
        answer, DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    )
    if path == "/predict":
        assert {one["digit"] for one in answer.get("predictions", [answer])} == {7}
    else:
        assert answer["outputs"][0]["data"] == [7]


def test_every_example_of_an_answer_is_one():
    media = DOCUMENT["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]

    for example in media["examples"].values():
        validate(example["value"], media["schema"])
        for prediction in example["value"].get("predictions", [example["value"]]):
            assert sum(prediction["probabilities"]) == pytest.approx(1)
            assert prediction["confidence"] == max(prediction["probabilities"])


def test_there_are_examples():
    assert len(list(request_examples())) == 8


def test_every_route_is_described_and_nothing_else():
    routes = {
        (route.path, method)
        for route in create_app(Settings()).routes
        if route.include_in_schema
        for method in (route.methods or ()) - {"HEAD"}
    }
    pages = {(path, "GET") for path in ("/", *PAGES, *(f"/static/{file.name}" for file in STATIC.iterdir()))}

    described = {
        (path, method.upper())
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
        if method != "parameters"
    }

    assert described == routes - pages


def test_the_limits_are_those_of_the_settings(start_server):
    server = start_server(MAX_IMAGES_PER_REQUEST=7, MAX_PICTURE_PIXELS=12345)

    text = get(server, "/openapi.json").text

    assert '"maxItems":7' in text
    assert "at most 12345 pixels" in text


def test_keys_are_described_where_they_are_needed(tmp_path):
    guarded = describe(Settings(api_keys_file="keys"), CARD)["paths"]

    assert guarded["/predict"]["post"]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert guarded["/v2/models/{name}/infer"]["post"]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert "security" not in guarded["/healthz"]["get"]


# A schema can't say what makes bytes a picture, nor how many follow a message: such a body may be refused
# although the schema allows it. And the only name of a model that exists is that of the example.
# Options that are not known are ignored.
SCHEMATHESIS = """
generation.allow-extra-parameters = false

[[operations]]
include-method = ["POST", "PUT"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 413, 422]
"""


def test_schemathesis_finds_no_disagreement(live_server, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)

    found = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"{live_server.url}/openapi.json"),
            *("--checks", "all", "--max-examples", "15", "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr
    assert "27 selected / 27 total" in found.stdout
    assert all(line["level"] != "ERROR" for line in live_server.lines())


def test_summaries_are_titles():
    for path, methods in DOCUMENT["paths"].items():
        for method in ("get", "post", "put"):
            if method in methods:
                summary = methods[method]["summary"]
                assert summary[0].isupper(), path
                assert summary[-1] not in ".?!", path
                assert len(summary) <= 30, path
