"""What TorchServe's management API says of the models: here, of the one."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.support.http import get, raw_get, read_answers
from tests.support.metrics import sample, scrape
from tests.support.wait import until

NAME = "mnist-cnn"


def test_the_models_are_described(live_server):
    version = get(live_server, f"/v2/models/{NAME}").json()["versions"][0]

    paths = (f"/models/{NAME}", f"/models/{NAME}/{version}", f"/models/{NAME}/all")
    one, *others = ([without_memory(each) for each in get(live_server, path).json()] for path in paths)

    [worker] = one[0].pop("workers")
    assert others == [[one[0] | {"workers": [worker]}]] * 2
    assert one == [
        {
            "modelName": NAME,
            "modelVersion": version,
            "modelUrl": "mnist_cnn.pt",
            "runtime": "python",
            "minWorkers": 1,
            "maxWorkers": 1,
            "batchSize": scrape(live_server)[sample("inference_max_batch_size")],
            "maxBatchDelay": 0,
            "loadedAtStartup": True,
            "jobQueueStatus": {"remainingCapacity": 1024, "pendingRequests": 0},
        }
    ]
    started = datetime.fromisoformat(worker.pop("startTime"))
    assert abs(datetime.now(UTC) - started) < timedelta(hours=1)
    assert worker == {
        "id": socket.gethostname(),
        "status": "READY",
        "pid": live_server.process.pid,
        "gpu": False,
        "gpuUsage": "N/A",
    }


def without_memory(described):
    """A model's description, once its worker has been seen to hold memory."""
    assert described["workers"][0].pop("memoryUsage") > 10_000_000
    return described


def test_the_one_model_is_listed(start_server):
    server = start_server(MODEL_NAME="my_model")

    assert get(server, "/models").json() == {
        "models": [{"modelName": "my_model", "modelUrl": "mnist_cnn.pt"}]
    }
    assert get(server, "/models/my_model").json()[0]["modelName"] == "my_model"
    assert get(server, f"/models/{NAME}").json()["message"] == f"Model not found: {NAME}"


def test_ping(live_server):
    assert get(live_server, "/ping").json() == {"status": "Healthy"}


@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "/"), ("GET", "/api-description")])
def test_the_api_describes_itself(live_server, method, path):
    response = requests.request(method, f"{live_server.url}{path}", timeout=10)

    assert response.json() == get(live_server, "/openapi.json").json()


def test_a_draining_service_is_unhealthy(start_server):
    server = start_server()

    with server.connect() as connection:
        connection.sendall(raw_get("/ping"))
        assert read_answers(connection, 1) == [(200, b'{"status":"Healthy"}')]
        connection.sendall(raw_get("/ping")[:-1])
        server.process.terminate()
        until(lambda: "draining" in server.log_text(), "the drain has begun")
        connection.sendall(raw_get("/ping")[-1:])
        assert read_answers(connection, 1) == [(503, b'{"status":"Unhealthy"}')]
