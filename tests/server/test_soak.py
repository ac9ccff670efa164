"""Mixed traffic for a while: nothing grows, nothing slows down."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.support.http import HEALTHZ, PREDICT, SEVEN, get, raw_get, raw_post
from tests.support.load import Address, Connection
from tests.support.malformed_bodies import malformed_bodies
from tests.support.pictures import bar
from tests.support.process import open_files, resident_bytes, threads
from tests.support.server import Server
from tests.support.soak import SOAK, SOAK_SECONDS
from tests.support.wait import until

PARTS = 10  # the first warms up; the second is compared with the last
CLIENTS = 4
BAD_FRACTION = 0.05


def mixture() -> list[tuple[float, bytes]]:
    """Requests with their weights: mostly predictions, and every other endpoint."""
    tensor = b'{"inputs":[{"name":"image","shape":[1,784],"datatype":"FP32","data":[%s]}]}' % (
        b"0," * 783 + b"0"
    )
    others = ("/metrics", "/", "/docs", "/openapi.json", "/v2", "/v2/health/ready", "/static/style.css")
    return [
        (50, PREDICT),
        (10, raw_post("/predict", "application/json", SEVEN, chunk_bytes=len(SEVEN))),
        (10, raw_post("/predict", "application/octet-stream", bytes(784))),
        (5, raw_post("/predict?preview=true", "image/png", bar("png"))),
        (5, raw_post("/v2/models/mnist-cnn/infer", "application/json", tensor)),
        (5, HEALTHZ),
        *((1, raw_get(path)) for path in others),
    ]


@dataclass
class Part:
    """What one stretch of time saw."""

    latencies: list[float] = field(default_factory=list)
    requests: int = 0
    bad: int = 0
    memory: int = 0
    descriptors: int = 0
    threads: int = 0
    tasks: int = 0


class MixedTraffic:
    """Clients on kept connections; now and then one hangs up, sometimes in the middle of a request."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._random = random.Random(1)
        self._weights, self._good = zip(*mixture(), strict=True)
        self._bad = [
            raw_post("/predict", content_type, body)
            for _, content_type, body in malformed_bodies()
            if len(body) < 100_000
        ]
        self.wrong: list[tuple[int, bytes]] = []

    async def run(self, part: Part, seconds: float) -> None:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(self._client(part, end) for _ in range(CLIENTS)))

    async def _client(self, part: Part, end: float) -> None:
        connection = Connection(self._address)
        while time.perf_counter() < end:
            bad = self._random.random() < BAD_FRACTION
            request = (
                self._random.choice(self._bad) if bad else self._random.choices(self._good, self._weights)[0]
            )
            if self._random.random() < 0.01:  # hang up, half of the time with half a request
                await connection.send(request[: len(request) // 2 * self._random.randint(0, 1)])
                connection.close()
            began = time.perf_counter()
            answer = await connection.ask(request)
            if request is PREDICT:
                part.latencies.append(time.perf_counter() - began)
            part.requests += 1
            part.bad += bad
            if answer.status >= 500 or (answer.status >= 400 and not bad):
                self.wrong.append((answer.status, request[:100]))
        connection.close()


def counts_of_tasks(server: Server) -> list[int]:
    return [line["tasks"] for line in server.lines() if line["message"] == "tasks"]


def measure(part: Part, server: Server) -> None:
    """Read what the process holds, once its connections are closed."""
    before = len(counts_of_tasks(server))
    until(lambda: len(counts_of_tasks(server)) > before + 1)  # the connections' ends have arrived by then
    part.tasks = counts_of_tasks(server)[-1]
    part.memory = resident_bytes(server.process.pid)
    part.descriptors = open_files(server.process.pid)
    part.threads = threads(server.process.pid)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * SOAK_SECONDS)
def test_nothing_grows_and_nothing_slows_down(start_server):
    server = start_server("tests.support.task_count")
    traffic = MixedTraffic(server.address)
    parts = []

    for _ in range(PARTS):
        parts.append(Part())
        asyncio.run(traffic.run(parts[-1], SOAK_SECONDS / PARTS))
        measure(parts[-1], server)

    figures = get(server, "/metrics").text
    first, last = parts[0], parts[-1]
    growth = last.memory / first.memory - 1
    medians = [float(np.median(part.latencies)) * 1000 for part in parts[1:]]
    count = sum(part.requests for part in parts)
    print(
        f"{SOAK_SECONDS:g} s, {count} requests, {sum(part.bad for part in parts) / count:.1%} bad: "
        f"memory {growth:+.2%} after the first tenth, "
        f"{first.descriptors} then {last.descriptors} descriptors, "
        f"{first.threads} then {last.threads} threads, {first.tasks} then {last.tasks} tasks, "
        f"median of each tenth from the second on {', '.join(f'{median:.2f}' for median in medians)} ms"
    )
    assert traffic.wrong == []
    assert growth < (0.02 if SOAK_SECONDS >= 300 else 0.1)  # a short run is mostly warming up
    assert last.descriptors <= first.descriptors + 2
    assert last.threads <= first.threads + 1
    assert last.tasks <= first.tasks
    assert "http_requests_in_flight 1.0" in figures  # this very one
    assert "inference_queue_depth 0.0" in figures
    assert "Traceback" not in server.log_text()
    if SOAK:
        assert medians[-1] < 3 * medians[0] + 5  # room for whatever else the machine has to do
