"""What breaks around the service, or in it: a clear word, no corruption, and the way back."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import torch

from service.settings import BUNDLED_MODEL
from tests import mortal, weights
from tests.hostile import picture, png
from tests.server import Server
from tests.test_predict import DATA, ZEROS, post

ONES = [1] * 784
SEVEN = (DATA / "digit-7.json").read_bytes()
PATIENCE = 30


class Moody(torch.nn.Module):
    """A model that never comes back from an image that is all ones, and fails on one that is all halves."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        brightest = float(images.flatten(1).mean(1).max())
        pixels = images.flatten(1)
        if brightest == 0.5:
            pixels = pixels[:, 1:]
        while brightest > 0.99:
            brightest += 1
        return self.linear(pixels)


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    return weights.write(tmp_path_factory.mktemp("moody") / "moody.pt", Moody())


def until(condition):
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def health(server: Server) -> int:
    return requests.get(f"{server.url}/healthz", timeout=5).status_code


def seen(server: Server, *lines: str) -> bool:
    """Whether these are among the figures."""
    return set(lines) <= set(requests.get(f"{server.url}/metrics", timeout=5).text.splitlines())


def computes(server: Server) -> bool:
    """Whether the model has taken the only request there is; the other one in flight is this question."""
    return seen(server, "http_requests_in_flight 2.0", "inference_queue_depth 0.0")


def test_a_model_that_hangs_fails_the_health_check_and_strands_nobody(start_server, moody):
    server = start_server(MODEL_PATH=moody, QUEUE_TIMEOUT_SECONDS=0.5, STALL_TIMEOUT_SECONDS=1)
    assert post(server, {"image": ZEROS}).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        hung = pool.submit(post, server, {"image": ONES})
        until(lambda: computes(server))
        waiting = [pool.submit(post, server, {"image": ZEROS}) for _ in range(7)]
        answers = [future.result().json() for future in (hung, *waiting)]

    assert {(answer["status"], answer["type"]) for answer in answers} == {
        (504, "urn:problem-type:queue-timeout")
    }
    until(lambda: health(server) == 503)
    assert requests.get(f"{server.url}/metrics", timeout=5).status_code == 200
    assert server.terminate() == 0


def test_a_model_whose_thread_dies_fails_the_health_check_and_strands_nobody(tmp_path):
    server = Server(tmp_path / "server.log", {mortal.LAST_WORD: tmp_path / "die"}, "tests.mortal")
    try:
        server.wait_until_ready()
        assert post(server, SEVEN).json()["digit"] == 7

        with ThreadPoolExecutor(8) as pool:
            last = pool.submit(post, server, {"image": ONES})
            until(lambda: computes(server))
            waiting = [pool.submit(post, server, {"image": ZEROS}) for _ in range(7)]
            until(lambda: seen(server, "inference_queue_depth 7.0"))
            (tmp_path / "die").touch()
            died = time.monotonic()
            answers = [future.result() for future in (last, *waiting)]
            told = time.monotonic() - died
        until(lambda: health(server) == 503)
        print(
            f"all told {told * 1000:.0f} ms after the end, ill after {time.monotonic() - died:.2f} s at most"
        )
        assert told < PATIENCE
        answers.append(post(server, SEVEN))
        assert {(answer.status_code, answer.headers["Retry-After"]) for answer in answers} == {(503, "1")}
        assert {answer.json()["detail"] for answer in answers} == {
            "the model's thread has stopped; this replica needs a restart"
        }
        assert [line["message"] for line in server.lines() if line["level"] == "CRITICAL"] == [
            "the model's thread has died; this process needs a restart"
        ]
        assert server.terminate() == 0
    finally:
        server.kill()


def test_a_batch_that_fails_is_told_so_and_the_next_one_runs(start_server, moody):
    server = start_server(MODEL_PATH=moody)

    answers = [post(server, {"image": [[value] * 28] * 28}) for value in (0, 0.5, 0)]

    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].json()["detail"] == "the model failed on this batch; the log says why"
    assert "Traceback" not in answers[1].text
    assert any("a batch of 1 failed" in str(line["message"]) for line in server.lines())
    assert health(server) == 200


def test_weights_that_vanish_or_rot_change_nothing(start_server, tmp_path):
    path = tmp_path / "mnist_cnn.pt"
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=0.1)
    before = post(server, SEVEN).json()

    path.unlink()
    until(lambda: "still serving" in server.log.read_text())
    gone = post(server, SEVEN).json()
    path.write_bytes(BUNDLED_MODEL.read_bytes()[:-1000])
    until(lambda: "archive" in server.log.read_text())
    rotten = post(server, SEVEN).json()

    assert before["digit"] == gone["digit"] == rotten["digit"] == 7
    assert before["model"] == gone["model"] == rotten["model"]
    assert health(server) == 200


@pytest.mark.parametrize("output", ["/dev/full", "/dev/null"])
def test_no_disk_no_tmp_and_no_room_for_logs_stop_nobody(free_tcp_port, output):
    """It runs in a folder that takes no files, has none for temporary ones, and can't write its log."""
    server = Server.__new__(Server)
    environment = {"PORT": str(free_tcp_port), "HOST": "127.0.0.1", "TMPDIR": "/nowhere", "HOME": "/nowhere"}
    root = str(Path(__file__).parents[1])
    environment |= {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1", "ACCESS_LOG_SAMPLE": "1"}
    with Path(output).open("wb") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            cwd="/proc",
        )
    server.url = f"http://127.0.0.1:{free_tcp_port}"
    try:
        until(lambda: answers(server))
        sent = [
            post(server, SEVEN),
            post(server, picture("png"), "image/png"),
            requests.post(f"{server.url}/predict", files={"image": bytes(300_000)}, timeout=10),
        ]
        assert [answer.status_code for answer in sent] == [200, 200, 400]
        assert server.terminate() == 0
    finally:
        server.kill()


def answers(server: Server) -> bool:
    assert server.process.poll() is None, "the service ended"
    try:
        return health(server) == 200
    except requests.ConnectionError:
        return False


def test_when_memory_is_short_requests_fail_alone(start_server):
    """With 8 MiB left, large pictures get a refusal or an answer, and everybody else the right one."""
    server = start_server()
    assert post(server, picture("png"), "image/png").status_code == 200  # starts what pictures need
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    held = int(status.split("VmData:")[1].split()[0]) * 1024
    before = resource.prlimit(server.process.pid, resource.RLIMIT_DATA)
    resource.prlimit(server.process.pid, resource.RLIMIT_DATA, (held + (8 << 20), before[1]))
    large = png(1400, 1400, bytes(1400 * 5601), colour=6)
    stop = threading.Event()
    seen: list[int] = []

    def strain() -> None:
        while not stop.is_set():
            seen.append(post(server, large, "image/png").status_code)

    threads = [threading.Thread(target=strain) for _ in range(3)]
    for thread in threads:
        thread.start()
    digits = [post(server, SEVEN).json().get("digit") for _ in range(100)]
    stop.set()
    for thread in threads:
        thread.join()

    assert digits == [7] * 100
    assert set(seen) <= {422, 503, 504}, set(seen)  # it is blank, if there is room to see that
    resource.prlimit(server.process.pid, resource.RLIMIT_DATA, before)
    assert health(server) == 200
    assert server.terminate() == 0


def test_when_descriptors_are_short_newcomers_wait_and_the_log_is_not_flooded(start_server):
    server = start_server()
    address = urlsplit(server.url)
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    limit = len(list(descriptors.iterdir())) + 4

    def complaints() -> int:
        return [line["message"].partition(":")[0] for line in server.lines()].count(
            "cannot accept a connection"
        )

    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as clients:
        for _ in range(8):
            clients.enter_context(socket.create_connection((address.hostname, address.port)))
        until(complaints)
        time.sleep(0.5)
        assert complaints() == 1

    assert health(server) == 200
    assert post(server, SEVEN).json()["digit"] == 7
