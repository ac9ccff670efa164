"""Triton's own client gets what it asks for, or a clear word."""

from __future__ import annotations

import time

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.support.http import SEVEN, ZEROS, get, post

MODEL = "mnist-cnn"
INFER = f"/v2/models/{MODEL}/infer"
RAW = {"Inference-Header-Content-Length": "0"}


def client_of(server):
    return triton.InferenceServerClient(server.url.removeprefix("http://"))


@pytest.fixture
def client(live_server):
    client = client_of(live_server)
    yield client
    client.close()


def image(digits, count=1):
    pixels = (digits[:count] / np.float32(255)).reshape(-1, 1, 28, 28)
    return triton.InferInput("image", list(pixels.shape), "FP32").set_data_from_numpy(pixels)


def test_the_configuration_says_what_the_metadata_say(client):
    metadata, config = client.get_model_metadata(MODEL), client.get_model_config(MODEL)

    assert config["name"] == MODEL
    assert config["max_batch_size"] == 256
    assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [1, 28, 28]}]
    assert [output["name"] for output in config["output"]] == [
        output["name"] for output in metadata["outputs"]
    ]
    assert config["output"][2] == {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [10]}
    assert client.get_model_config(MODEL, metadata["versions"][0]) == config
    with pytest.raises(InferenceServerException, match="there is no model 'resnet'"):
        client.get_model_config("resnet")


def test_the_index_has_the_one_model(live_server, client):
    [version] = client.get_model_metadata(MODEL)["versions"]
    expected = [{"name": MODEL, "version": version, "state": "READY", "reason": ""}]

    assert client.get_model_repository_index() == expected
    assert post(live_server, {"ready": True}, path="/v2/repository/index").json() == expected
    for wrong in (b"{", b"[]", b'{"ready": 1}'):
        refused = post(live_server, wrong, path="/v2/repository/index")
        assert (refused.status_code, refused.json().keys()) == (400, {"error"})


def test_statistics_are_what_was_counted(start_server, digits):
    server = start_server()
    client = client_of(server)
    assert client.get_inference_statistics()["model_stats"][0]["last_inference"] == 0
    before = time.time()
    for _ in range(3):
        client.infer(MODEL, [image(digits, 5)])
    assert post(server, SEVEN).status_code == 200
    for _ in range(2):
        assert post(server, {"image": ZEROS[1:]}).status_code == 422

    [stats] = client.get_inference_statistics()["model_stats"]

    inference = stats["inference_stats"]
    assert stats["inference_count"] == inference["queue"]["count"] == 16
    assert 4 <= stats["execution_count"] == inference["compute_infer"]["count"] <= 16
    assert (inference["success"]["count"], inference["fail"]["count"]) == (4, 2)
    assert inference["success"]["ns"] > inference["compute_infer"]["ns"] > 0
    assert 1000 * before - 1 <= stats["last_inference"] <= 1000 * time.time()
    of_model = client.get_inference_statistics(MODEL, stats["version"])["model_stats"]
    assert of_model[0]["inference_count"] == 16
    with pytest.raises(InferenceServerException, match="there is no version '7'"):
        client.get_inference_statistics(MODEL, "7")
    client.close()


@pytest.mark.parametrize("request_compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_compression", [None, "gzip", "deflate"])
def test_compression_works(client, digits, request_compression, response_compression):
    result = client.infer(
        MODEL,
        [image(digits, 3)],
        request_compression_algorithm=request_compression,
        response_compression_algorithm=response_compression,
    )

    assert result.as_numpy("digit").tolist() == [7, 2, 1]


def test_many_requests_at_once(client, digits):
    pending = [client.async_infer(MODEL, [image(digits, 2)]) for _ in range(20)]

    assert [one.get_result().as_numpy("digit").tolist() for one in pending] == 20 * [[7, 2]]


def test_a_raw_binary_request_is_the_one_input(live_server, digits):
    pixels = (digits[:3] / np.float32(255)).astype("<f4")

    answer = post(live_server, pixels.tobytes(), "application/octet-stream", path=INFER, **RAW)
    result = triton.InferenceServerClient.parse_response_body(
        answer.content, header_length=int(answer.headers["Inference-Header-Content-Length"])
    )

    assert result.as_numpy("digit").tolist() == [7, 2, 1]


@pytest.mark.parametrize("size", [0, 1, 784, 3135, 3137])
def test_a_raw_binary_request_of_another_size_is_told(live_server, size):
    answer = post(live_server, bytes(size), "application/octet-stream", path=INFER, **RAW)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"the body has {size} bytes and, as inference-header-content")


def test_classes_are_refused_by_name(client, digits):
    outputs = [triton.InferRequestedOutput("probabilities", class_count=3)]

    with pytest.raises(InferenceServerException, match=r"probabilities .*class_count.* not offered"):
        client.infer(MODEL, [image(digits)], outputs=outputs)


def test_shared_memory_is_refused_by_name(client, digits):
    shared = triton.InferInput("image", [1, 784], "FP32")
    shared.set_shared_memory("region", 3136)
    output = triton.InferRequestedOutput("digit")
    output.set_shared_memory("region", 8)

    with pytest.raises(InferenceServerException, match="no shared memory extension; send the input"):
        client.infer(MODEL, [shared])
    with pytest.raises(InferenceServerException, match="no shared memory extension; digit comes"):
        client.infer(MODEL, [image(digits)], outputs=[output])


def test_what_plans_requests_is_taken_and_means_nothing(client, digits):
    result = client.infer(
        MODEL, [image(digits)], sequence_id=7, sequence_start=True, priority=1, timeout=1_000_000
    )

    assert result.as_numpy("digit").tolist() == [7]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.load_model(MODEL), "loaded when its file changes"),
        (lambda client: client.unload_model(MODEL), "stays loaded"),
        (lambda client: client.get_trace_settings(), "no trace extension"),
        (lambda client: client.update_trace_settings(MODEL, {"trace_level": "OFF"}), "no trace extension"),
        (lambda client: client.get_log_settings(), "set LOG_LEVEL"),
        (lambda client: client.update_log_settings({"log_info": True}), "set LOG_LEVEL"),
        (lambda client: client.get_system_shared_memory_status(), "no shared memory extension"),
        (lambda client: client.register_system_shared_memory("a", "/a", 1), "no shared memory extension"),
        (lambda client: client.unregister_cuda_shared_memory("a"), "no shared memory extension"),
        (lambda client: client.get_cuda_shared_memory_status("a"), "no shared memory extension"),
    ],
    ids=range(10),
)
def test_what_manages_many_models_is_refused_in_words(client, call, words):
    with pytest.raises(InferenceServerException, match=words) as refusal:
        call(client)

    assert refusal.value.status() == "404"


def test_generate_is_refused_in_words(live_server):
    for path in ("generate", "generate_stream"):
        answer = post(live_server, {"text_input": "x"}, path=f"/v2/models/{MODEL}/{path}")

        assert answer.status_code == 404
        assert answer.json() == {"error": "there is no generate extension; use infer"}


def test_the_extensions_are_named(live_server):
    assert get(live_server, "/v2").json()["extensions"] == [
        "binary_tensor_data",
        "model_configuration",
        "model_repository(index)",
        "statistics",
    ]
