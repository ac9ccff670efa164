"""Connections take turns at being parsed: one that has sent much never keeps the others waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from service.server.parsing_turns import ParsingTurns
from tests.support.http import HEALTHZ, raw_post, read_answers, read_statuses

# Takes the parser some hundred milliseconds, though it is sent at once.
COSTLY = raw_post("/predict", "application/json", b"1" * 1_000_000, chunk_bytes=1)


@pytest.mark.parametrize(
    ("path", "status"), [(b"/predict", 400), (b"/nothing", 404)], ids=["read", "not read"]
)
def test_others_are_answered_while_a_costly_body_is_parsed(start_server, path, status):
    server = start_server()
    request = COSTLY.replace(b"/predict", path, 1) + HEALTHZ
    answered = threading.Event()

    def send(connection):
        connection.sendall(request)
        statuses.extend(read_statuses(connection, 2))
        answered.set()

    statuses: list[int] = []
    waits: list[float] = []
    with server.connect() as costly, server.connect() as other:
        sender = threading.Thread(target=send, args=[costly])
        sender.start()
        while not answered.is_set():
            began = time.perf_counter()
            other.sendall(HEALTHZ)
            assert read_statuses(other, 1) == [200]
            waits.append(time.perf_counter() - began)
        sender.join()

    assert statuses == [status, 200]
    total = sum(waits)
    assert sum(wait for wait in waits if wait > total / 8) < total / 2


def test_a_client_that_sends_much_and_closes_its_half_is_answered(connect):
    images = raw_post("/predict", "application/octet-stream", bytes(784)) * 100

    connection = connect()
    connection.sendall(images)
    connection.shutdown(socket.SHUT_WR)

    assert [status for status, _ in read_answers(connection, 100)] == [200] * 100


def test_waiting_connections_go_round_robin_in_slices():
    async def run():
        turns, order = ParsingTurns(), []
        left = {"a": 3, "b": 1, "c": 2}

        def take_turn(name):
            order.append(name)
            left[name] -= 1
            if left[name]:
                turns.wait(lambda: take_turn(name))

        for name in left:
            turns.wait(lambda name=name: take_turn(name))
        while any(left.values()):
            await asyncio.sleep(0)
        return order

    assert asyncio.run(run()) == ["a", "b", "c", "a", "c", "a"]


def test_a_turn_that_fails_ends_no_other():
    async def run():
        turns, taken, failures = ParsingTurns(), [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        turns.wait(lambda: 1 / 0)
        turns.wait(lambda: taken.append(1))
        await asyncio.sleep(0.01)
        return taken, len(failures)

    assert asyncio.run(run()) == ([1], 1)
