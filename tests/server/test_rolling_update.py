"""A rolling update loses nothing: SIGTERM under constant load, behind a balancer and without one."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.haproxy import HAProxy
from tests.support.http import HEALTHZ, PREDICT, read_answers, read_statuses
from tests.support.load import Answer, Load
from tests.support.ports import free_port
from tests.support.soak import RESTARTS
from tests.support.wait import until

GRACE_SECONDS = 30


def status(answer: Answer) -> int:
    """The status of an answer that is whole."""
    assert answer.status != 200 or "probabilities" in json.loads(answer.body)
    return answer.status


def constant_load(address: tuple[str, int]) -> Load:
    """Clients that hardly pause, half of them on connections that they keep."""
    return Load(address, status, kept=4, one_shot=4, pause_seconds=0.005)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.timeout(60 + 30 * RESTARTS)
def test_restarts_behind_a_balancer_lose_nothing(start_server, tmp_path, mode):
    ports = free_port(), free_port()
    replicas = [start_server(PORT=port) for port in ports]
    codes = []

    with HAProxy(ports, tmp_path, mode=mode) as balancer, constant_load(balancer.address) as load:
        for turn in range(RESTARTS):
            place = turn % 2
            before = balancer.checks_passed()
            codes.append(replicas[place].terminate(GRACE_SECONDS))
            replicas[place] = start_server(PORT=ports[place])
            # As a rolling update waits for the new pod.
            until(lambda before=before: balancer.checks_passed() > before, "the balancer has the new replica")

    print(f"{len(codes)} restarts, {sum(map(len, load.results))} requests")
    assert codes == [0] * RESTARTS
    assert not load.failures
    assert all(set(results) == {200} for results in load.results)


@pytest.mark.alone
@pytest.mark.parametrize("command", ["service", "tests.support.slow_close"])
def test_without_a_balancer_nothing_that_was_accepted_is_lost(start_server, command):
    """New connections fail in the end, before a request is sent; until then, every request gets an answer."""
    server = start_server(command, SHUTDOWN_TIMEOUT_SECONDS=3)

    with constant_load(server.address) as load:
        time.sleep(0.3)
        assert server.terminate(GRACE_SECONDS) == 0

    # The one whose handshake is under way when the listener closes is reset instead of refused.
    assert all("Connect call failed" in failure for failure in load.failures), load.failures
    assert any(load.results)
    assert all(set(results) == {200} for results in load.results)


def test_a_draining_server_says_so_and_serves_on(start_server):
    server = start_server(SHUTDOWN_TIMEOUT_SECONDS=10)
    with server.connect() as idle, server.connect() as half:
        idle.sendall(PREDICT)
        assert read_statuses(idle, 1) == [200]
        half.sendall(PREDICT[:-1])

        server.process.terminate()
        until(lambda: "draining" in server.log_text(), "the drain has begun")
        with server.connect() as new:
            new.sendall(HEALTHZ)
            idle.sendall(PREDICT)
            half.sendall(PREDICT[-1:])

            assert read_answers(new, 1) == [(503, model_unavailable("the service is shutting down"))]
            assert [read_statuses(connection, 1) for connection in (idle, half)] == [[200], [200]]
            for connection in (new, idle, half):
                assert connection.recv(1) == b""  # that was its last answer
    assert server.process.wait(GRACE_SECONDS) == 0


def model_unavailable(detail: str) -> bytes:
    problem = {
        "type": "urn:problem-type:model-unavailable",
        "title": "The model is not available",
        "status": 503,
        "detail": detail,
    }
    return json.dumps(problem, separators=(",", ":")).encode()
