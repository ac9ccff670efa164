"""The process: it starts whole or not at all, says what it decided, and ends when it is told to."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import requests

from service.settings import BUNDLED_MODEL, Settings
from tests.support.http import ZEROS, post
from tests.support.server import Server
from tests.support.weights_file import read_weights_file


def test_sigterm_ends_an_idle_server_with_success(start_server):
    server = start_server()
    post(server, {"image": ZEROS})

    assert server.terminate() == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/healthz", timeout=5)


def test_weights_that_cannot_be_served_stop_the_start(tmp_path):
    rubbish = tmp_path / "rubbish.pt"
    rubbish.write_bytes(b"not a model")

    server = Server(tmp_path / "server.log", {"MODEL_PATH": rubbish})

    assert server.process.wait(60) == 3
    assert server.messages("ERROR", count=2) == [
        f"{rubbish} is not a TorchScript archive",
        "Application startup failed. Exiting.",
    ]
    assert "Traceback" not in server.log_text()


def test_weights_below_the_floor_stop_the_start(tmp_path):
    _, card, _ = read_weights_file(BUNDLED_MODEL)
    accuracy = card["metrics"]["test_accuracy"]
    server = Server(tmp_path / "server.log", {"MODEL_MIN_ACCURACY": 0.9999})

    assert server.process.wait(60) == 3
    assert server.messages("ERROR", count=2) == [
        f"{BUNDLED_MODEL} has a test accuracy of {accuracy}; "
        "at least 0.9999 is asked for (MODEL_MIN_ACCURACY)",
        "Application startup failed. Exiting.",
    ]


def test_a_port_that_is_taken_stops_the_start(live_server):
    host, port = live_server.address

    ended = subprocess.run(
        [sys.executable, "-m", "service"],
        env=os.environ | {"HOST": host, "PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"rust-ml-api: cannot listen on {host} port {port}: ")


@pytest.mark.parametrize(
    ("environment", "decision"),
    [
        ({"CPU_LIMIT": 3}, "computing with 2 thread(s) (CPU_LIMIT: 3 CPUs)"),
        ({"NUM_THREADS": 3, "CPU_LIMIT": 8}, "computing with 3 thread(s) (CPU_LIMIT: 8 CPUs)"),
    ],
    ids=["limit", "set"],
)
def test_the_use_of_the_cpus_is_logged(start_server, environment, decision):
    server = start_server(**environment)

    assert len(server.messages("INFO", decision)) == 1


def test_a_setting_of_earlier_versions_and_a_misspelt_one_are_answered_by_warnings(start_server):
    server = start_server(WORKERS=2, MAX_BATCHSIZE=8, MODEL_ENV="staging")

    assert server.messages("WARNING", count=2) == [
        "WORKERS is no longer a setting: each pod runs one process; add replicas instead",
        "MAX_BATCHSIZE is not a setting and has no effect; did you mean MAX_BATCH_SIZE?",
    ]


def test_log_lines_are_json_off_a_terminal(live_server):
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in live_server.lines())


def test_the_command_lists_its_settings():
    helped = subprocess.run(
        [sys.executable, "-m", "service", "--help"], capture_output=True, text=True, check=True
    )

    listed = re.findall(r"^  ([A-Z0-9_]+) ", helped.stdout, flags=re.MULTILINE)
    assert listed == [name.upper() for name in Settings.__dataclass_fields__]
