"""A rolling update loses nothing: SIGTERM under constant load, behind a balancer and without one."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest

from tests.haproxy import HAProxy
from tests.test_predict import ZEROS
from tests.test_protocol import ENTIRE, read_answers

# Twenty in `make soak`.
RESTARTS = int(os.environ.get("RESTARTS", "2"))
CLIENTS = 4  # of each kind
GRACE_SECONDS = 30
BODY = json.dumps({"image": ZEROS})
HEADERS = {"Content-Type": "application/json"}


class Load:
    """Clients that ask without a pause, half of them on connections that they keep."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(keep,)) for keep in (True, False) for _ in range(CLIENTS)
        ]
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keep: bool) -> None:
        outcomes: Counter[str] = Counter()
        connection = http.client.HTTPConnection(self._address, timeout=30)
        while not self._ending.is_set():
            try:
                connection.request("POST", "/predict", BODY, HEADERS)
                response = connection.getresponse()
                whole = "probabilities" in json.loads(response.read())
                outcomes[f"{response.status}{'' if whole else ' without an answer'}"] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcomes[repr(error)] += 1
                connection.close()
                time.sleep(0.01)
            if not keep:
                connection.close()
            time.sleep(0.005)
        connection.close()
        self.outcomes += outcomes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.timeout(60 + 30 * RESTARTS)
def test_restarts_behind_a_balancer_lose_nothing(start_server, tmp_path, mode):
    ports = free_port(), free_port()
    replicas = [start_server(PORT=port) for port in ports]
    codes = []

    with HAProxy(ports, tmp_path, mode=mode) as balancer, Load(balancer.url) as load:
        for turn in range(RESTARTS):
            place = turn % 2
            before = times_up(balancer)
            codes.append(replicas[place].terminate(GRACE_SECONDS))
            replicas[place] = start_server(PORT=ports[place])
            while times_up(balancer) == before:  # as a rolling update waits for the new pod
                time.sleep(0.05)

    assert codes == [0] * len(codes)
    assert load.outcomes.keys() == {"200"}, load.outcomes
    print(f"{len(codes)} restarts, {load.outcomes.total()} requests")


def times_up(balancer: HAProxy) -> int:
    """How often the balancer has taken a replica in that had been out."""
    return balancer.log.read_text().count("Layer7 check passed")


def test_without_a_balancer_nothing_that_was_accepted_is_lost(start_server):
    """New connections are refused in the end; until then, whoever gets in gets an answer."""
    server = start_server(SHUTDOWN_TIMEOUT_SECONDS=3)

    with Load(server.url) as load:
        time.sleep(0.3)
        began = time.monotonic()
        assert server.terminate(GRACE_SECONDS) == 0
        assert time.monotonic() - began < GRACE_SECONDS

    refused = {outcome for outcome in load.outcomes if "refused" in outcome}
    assert load.outcomes["200"] > 0
    assert load.outcomes.keys() - refused == {"200"}, load.outcomes


def test_a_draining_server_says_so_and_serves_on(start_server):
    server = start_server(SHUTDOWN_TIMEOUT_SECONDS=10)
    address = urlsplit(server.url)
    idle = socket.create_connection((address.hostname, address.port), timeout=30)
    idle.sendall(ENTIRE)
    assert read_answers(idle, 1)[0][0] == 200
    half = socket.create_connection((address.hostname, address.port), timeout=30)
    half.sendall(ENTIRE[:-1])

    server.process.terminate()
    while "draining" not in server.log.read_text():
        assert server.process.poll() is None
    new = socket.create_connection((address.hostname, address.port), timeout=30)
    new.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    idle.sendall(ENTIRE)
    half.sendall(ENTIRE[-1:])

    assert read_answers(new, 1) == [(503, read_detail("the service is shutting down"))]
    assert [read_answers(connection, 1)[0][0] for connection in (idle, half)] == [200, 200]
    for connection in (new, idle, half):
        assert connection.recv(1) == b""  # its last answer
        connection.close()
    assert server.process.wait(GRACE_SECONDS) == 0


def read_detail(detail: str) -> bytes:
    problem = {
        "type": "urn:problem-type:model-unavailable",
        "title": "The model is not available",
        "status": 503,
        "detail": detail,
    }
    return json.dumps(problem, separators=(",", ":")).encode()
