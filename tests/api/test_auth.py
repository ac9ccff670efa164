"""API keys: asked for where predictions are made, nowhere else, and read again while the service runs."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import tritonclient.http as triton

from service.api.auth import CHECK_SECONDS, ApiKeys
from service.errors import Unauthorized
from service.settings import InvalidSetting
from tests.support.http import ZEROS, get, post
from tests.support.wait import until

INFER = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 784], "data": ZEROS}]}


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# one a line\n\nfirst-key\n  second-key  \n")
    return path


def predict(server, **headers):
    return post(server, {"image": ZEROS}, **headers)


def infer(server, **headers):
    return post(server, INFER, path="/v2/models/mnist-cnn/infer", **headers)


def test_a_service_with_keys(start_server, keys):
    server = start_server(API_KEYS_FILE=keys)

    for path in ("/", "/docs", "/healthz", "/metrics", "/openapi.json", "/v2/models/mnist-cnn"):
        assert get(server, path).status_code == 200, path

    for shown in (
        {"Authorization": "Bearer first-key"},
        {"Authorization": "bearer second-key"},
        {"X-API-Key": "second-key"},
    ):
        assert predict(server, **shown).status_code == 200
        assert infer(server, **shown).status_code == 200

    for shown in (
        {},
        {"X-API-Key": "first-ke"},
        {"X-API-Key": ""},
        {"X-API-Key": "# one a line"},
        {"Authorization": "Basic first-key"},
        {"Authorization": "Bearer"},
    ):
        refused = predict(server, **shown)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="rust-ml-api"'
        assert refused.json()["type"] == "urn:problem-type:unauthorized"
        refused = infer(server, **shown)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="rust-ml-api"'
        assert "API key" in refused.json()["error"]

    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    image = triton.InferInput("image", [1, 784], "UINT8").set_data_from_numpy(np.zeros((1, 784), np.uint8))
    client.infer("mnist-cnn", [image], headers={"X-API-Key": "first-key"})
    with pytest.raises(Exception, match="send an API key"):
        client.infer("mnist-cnn", [image])
    client.close()

    # A Secret that is mounted changes by a rename.
    successor = keys.with_name("successor")
    successor.write_text("third-key\n")
    successor.rename(keys)
    until(lambda: predict(server, **{"X-API-Key": "third-key"}).status_code == 200)
    assert predict(server, **{"X-API-Key": "first-key"}).status_code == 401

    assert "first-key" not in server.log_text()


def check(keys, key):
    keys.check([(b"x-api-key", key)])


def later(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * CHECK_SECONDS)


def test_a_lost_file_leaves_the_keys_as_they_are(keys, monkeypatch):
    known = ApiKeys(keys)
    keys.unlink()

    later(monkeypatch)

    check(known, b"first-key")
    with pytest.raises(Unauthorized):
        check(known, b"third-key")


def test_an_emptied_file_leaves_the_keys_as_they_are(keys, monkeypatch):
    known = ApiKeys(keys)
    keys.write_text("# nobody\n")

    later(monkeypatch)

    check(known, b"first-key")


def test_a_file_that_is_written_in_place_is_read_again(keys, monkeypatch):
    known = ApiKeys(keys)
    keys.write_text("third-key\n")
    os.utime(keys, ns=(1, 1))

    later(monkeypatch)

    check(known, b"third-key")
    with pytest.raises(Unauthorized):
        check(known, b"first-key")


@pytest.mark.parametrize("content", [None, "", "# nobody\n\n"], ids=["missing", "empty", "only comments"])
def test_a_file_without_keys_keeps_the_service_from_starting(tmp_path, content):
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)

    with pytest.raises(InvalidSetting, match="API_KEYS_FILE is "):
        ApiKeys(path)
