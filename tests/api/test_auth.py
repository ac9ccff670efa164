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


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbffirst-key\nsecond-key", b"\xef\xbb\xbf# keys\r\nfirst-key\r\nsecond-key\r\n"],
    ids=["a BOM", "a BOM and CRLF"],
)
def test_what_editors_add_to_a_file_is_no_part_of_a_key(start_server, keys, content):
    keys.write_bytes(content)
    server = start_server(API_KEYS_FILE=keys)

    for key in ("first-key", "second-key"):
        assert predict(server, **{"X-API-Key": key}).status_code == 200


def test_a_file_in_another_encoding_is_refused_in_words(start_server, keys):
    server = start_server(API_KEYS_FILE=keys)

    def warnings():
        predict(server, **{"X-API-Key": "first-key"})
        return server.messages("WARNING", "could not reload the API keys; the current ones stay", count=0)

    for count, encoding in enumerate(("utf-16", "utf-16-le", "utf-32-be", "latin-1"), 1):
        keys.write_text("dritter-schlüssel\n", encoding=encoding)
        until(lambda count=count: len(warnings()) == count, f"{encoding} is refused")
        with pytest.raises(InvalidSetting, match="not UTF-8 text"):
            ApiKeys(keys)

    said = f"{keys}: it is not UTF-8 text; write it as UTF-8, with a key on each line"
    assert all(line.endswith(said) for line in warnings())
    assert predict(server, **{"X-API-Key": "first-key"}).status_code == 200


def test_a_file_that_is_no_regular_one_holds_nothing_up(start_server, keys):
    server = start_server(API_KEYS_FILE=keys)
    fifo = keys.with_name("fifo")
    os.mkfifo(fifo)
    fifo.rename(keys)

    def warning():
        assert predict(server, **{"X-API-Key": "first-key"}).status_code == 200
        return server.messages("WARNING", "could not reload the API keys", count=0)

    assert "it is not a regular file" in until(warning)[0]


def test_a_file_is_not_read_while_it_is_being_written(start_server, keys):
    """A writer that takes its time: what it has written so far would lock the first key's holders out."""
    server = start_server(API_KEYS_FILE=keys)
    statuses = []
    with keys.open("w") as file:
        for turn in range(30):
            file.write(f"key-{turn}\n")
            file.flush()
            time.sleep(0.1)
            statuses.append(predict(server, **{"X-API-Key": "first-key"}).status_code)
        file.write("first-key\nlast-key\n")

    until(lambda: predict(server, **{"X-API-Key": "last-key"}).status_code == 200)
    assert set(statuses) == {200}
    assert predict(server, **{"X-API-Key": "first-key"}).status_code == 200
    assert predict(server, **{"X-API-Key": "second-key"}).status_code == 401


def test_ten_thousand_keys_are_all_known(keys):
    keys.write_text("".join(f"key-{number}\n" for number in range(10_000)))
    known = ApiKeys(keys)

    for number in range(0, 10_000, 9):
        check(known, f"key-{number}".encode())
    with pytest.raises(Unauthorized):
        check(known, b"key-10000")
