"""Several workers look like one service: figures, health, weights, signals; and one that dies is replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from service.board import PLACE_BYTES, Board
from tests.server import Server
from tests.test_metrics import labelled, scrape
from tests.test_reload import ConfigMap, good, messages, predict, reloads, until
from tests.test_reload import Load as Asking
from tests.test_rolling import GRACE_SECONDS
from tests.test_rolling import Load as KeptAndOneShot

ANSWERED = labelled("http_requests_total", route="/predict", method="POST", status="200")


def workers(server: Server) -> list[int]:
    """The process ids of a server's workers."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def ask(server: Server, times: int) -> None:
    """Ask on that many connections at once, so that every worker gets some."""
    with ThreadPoolExecutor(8) as clients:
        for response in clients.map(lambda _: predict(requests, server.url), range(times)):
            assert response.status_code == 200


def test_a_scrape_counts_for_all_of_them(start_server):
    server = start_server(WORKERS=3)

    for total in (40, 80, 120):
        ask(server, 40)
        assert [scrape(server)[ANSWERED] for _ in range(5)] == [total] * 5

    figures = scrape(server)
    assert sum(value for (name, *_), value in figures.items() if name == "predictions_total") == 120
    assert figures[("prediction_confidence_count",)] == 120
    assert [value for (name, *_), value in figures.items() if name == "model_info"] == [1]
    assert len(workers(server)) == 3


def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays(start_server):
    server = start_server(WORKERS=2)
    until(lambda: len(messages(server, "INFO", "serving mnist-cnn")) == 2, "both serve")
    ask(server, 40)
    assert scrape(server)[ANSWERED] == 40
    before = workers(server)

    os.kill(before[0], signal.SIGKILL)
    until(lambda: not exists(before[0]), "it is gone")
    ask(server, 20)
    until(lambda: len(workers(server)) == 2, "another has taken its place")
    until(lambda: len(messages(server, "INFO", "serving mnist-cnn")) == 3, "the other serves")

    assert messages(server, "ERROR", "") == ["worker 1 ended with SIGKILL; another takes its place"]
    ask(server, 20)
    assert scrape(server)[ANSWERED] == 80
    assert server.terminate() == 0


def test_one_that_hangs_fails_the_health_check_of_all(start_server):
    server = start_server(WORKERS=2, STALL_TIMEOUT_SECONDS=0.5)
    until(lambda: len(messages(server, "INFO", "Uvicorn running")) == 2, "both have joined")
    hung = workers(server)[0]

    os.kill(hung, signal.SIGSTOP)
    try:
        until(lambda: health(server) == 503, "the health check fails")
        assert scrape(server)  # without the figures of now from the one that hangs
    finally:
        os.kill(hung, signal.SIGCONT)
    until(lambda: health(server) == 200, "it recovers")


def health(server: Server) -> int:
    # A connection that the hanging worker has been given before it hung is never answered.
    try:
        return requests.get(f"{server.url}/healthz", timeout=2).status_code
    except requests.Timeout:
        return 0


def test_a_restart_loses_nothing(start_server):
    server = start_server(WORKERS=2, SHUTDOWN_TIMEOUT_SECONDS=3)

    with KeptAndOneShot(server.url) as load:
        time.sleep(0.3)
        assert server.terminate(GRACE_SECONDS) == 0

    refused = {outcome for outcome in load.outcomes if "refused" in outcome}
    assert load.outcomes["200"] > 0
    assert load.outcomes.keys() - refused == {"200"}, load.outcomes


def test_each_takes_its_share_of_the_connections(start_server):
    server = start_server(WORKERS=2)
    until(lambda: len(messages(server, "INFO", "Uvicorn running")) == 2, "both have joined")
    address = urlsplit(server.url)
    before = [sockets(pid) for pid in workers(server)]

    with contextlib.ExitStack() as clients:

        def connect(times: int) -> list[int]:
            total = sum(taken(server, before)) + times
            for _ in range(times):
                clients.enter_context(socket.create_connection((address.hostname, address.port)))
            until(lambda: sum(taken(server, before)) == total, "all are taken")
            return taken(server, before)

        asleep = workers(server)[0]
        os.kill(asleep, signal.SIGSTOP)
        try:
            assert connect(30) == [0, 30]
        finally:
            os.kill(asleep, signal.SIGCONT)
        assert min(connect(30)) >= 20, taken(server, before)


def taken(server: Server, before: list[int]) -> list[int]:
    """How many connections each worker has taken."""
    return [sockets(pid) - count for pid, count in zip(workers(server), before, strict=True)]


def sockets(pid: int) -> int:
    """How many sockets a process has."""
    return sum(str(link.readlink()).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def test_new_weights_serve_everywhere_or_nowhere(start_server, tmp_path):
    config_map = ConfigMap(tmp_path / "mount", "weights.pt")
    files = [good(tmp_path / f"{digit}.pt", digit).read_bytes() for digit in range(5)]
    config_map.publish(files[0])
    server = start_server(WORKERS=2, MODEL_PATH=config_map.path, RELOAD_INTERVAL_SECONDS=3600)

    with Asking(server.url) as load:
        for turn in range(1, 5):
            config_map.publish(files[turn])
            until(lambda turn=turn: answered(server) == turn, "the new weights are served")
            # Each on a connection of its own: whichever worker it reaches, the old weights are gone.
            assert [answered(server) for _ in range(20)] == [turn] * 20

            config_map.publish(b"rubbish")
            until(lambda turn=turn: reloads(server.url) == (turn, turn), "told once of each")
            assert answered(server) == turn

    assert load.failures == []
    assert all(answers == sorted(answers) for answers in load.answers)
    assert messages(server, "ERROR", "") == [
        f"still serving tiny digit {turn}: {config_map.path} is not a TorchScript archive"
        for turn in range(1, 5)
    ]


def answered(server: Server) -> int:
    digit: int = predict(requests, server.url).json()["digit"]
    return digit


def test_sighup_reaches_all(start_server, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "weights.pt"
    path.symlink_to(good(elsewhere / "weights.pt", 1))  # in whose folder nothing will happen
    server = start_server(WORKERS=2, MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=3600)

    good(elsewhere / "weights.pt", 2)
    server.process.send_signal(signal.SIGHUP)

    until(lambda: answered(server) == 2, "the new weights are served")
    assert [answered(server) for _ in range(20)] == [2] * 20
    assert until(lambda: reloads(server.url), "a figure") == (1, 0)


def test_weights_that_cannot_be_served_stop_all(tmp_path):
    rubbish = tmp_path / "rubbish.pt"
    rubbish.write_bytes(b"not a model")

    server = Server(tmp_path / "server.log", {"MODEL_PATH": rubbish, "WORKERS": 2})

    assert server.process.wait(60) == 3
    complaints = {line["message"] for line in server.lines() if line["level"] == "ERROR"}
    assert f"{rubbish} is not a TorchScript archive" in complaints
    assert any("giving up" in str(complaint) for complaint in complaints)
    assert "Traceback" not in server.log.read_text()


def test_a_port_that_is_taken_stops_all(live_server):
    port = live_server.url.rpartition(":")[2]

    tried = subprocess.run(
        [sys.executable, "-m", "service"],
        env=os.environ | {"HOST": "127.0.0.1", "PORT": port, "WORKERS": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert tried.returncode == 1
    assert tried.stderr.startswith(f"rust-ml-api: cannot listen on 127.0.0.1 port {port}: ")


@pytest.mark.parametrize("count", [2, 3])
def test_each_has_a_cpu_of_its_own_if_there_are_just_as_many(start_server, count):
    all_cpus = os.sched_getaffinity(0)
    two = set(sorted(all_cpus)[:2])
    if len(two) < 2:
        pytest.skip("this takes two CPUs")
    os.sched_setaffinity(0, two)
    try:
        server = start_server(WORKERS=count)
    finally:
        os.sched_setaffinity(0, all_cpus)
    until(lambda: len(messages(server, "INFO", "Uvicorn running")) == count, "all have joined")

    given = [os.sched_getaffinity(pid) for pid in workers(server)]

    assert given == ([{cpu} for cpu in sorted(two)] if count == 2 else [two] * 3)


def test_nobody_outlives_the_parent(start_server):
    server = start_server(WORKERS=2)
    pids = workers(server)

    server.kill()

    until(lambda: not any(map(exists, pids)), "the workers have ended")


def test_a_note_can_be_of_any_length_that_fits():
    board = Board(2)
    longest = bytes(range(256)) * (PLACE_BYTES // 256 - 1)

    board.pin(0, longest)
    board.pin(1, b"short")

    assert board.notes() == [longest, b"short"]
    with pytest.raises(ValueError, match="too long"):
        board.pin(0, bytes(PLACE_BYTES))
    assert board.notes() == [longest, b"short"]


def test_the_last_words_of_each_are_kept():
    board = Board(2)

    for word in range(1, 7):
        board.say(1, word)

    assert board.said() == [[0, 0, 0, 0], [6, 5, 4, 3]]
    board.say(1, 0, 2**64 - 1)
    assert board.said()[1] == [2**64 - 1, 0, 6, 5]
