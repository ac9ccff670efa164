"""Mixed traffic for a while: nothing grows, nothing slows down."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from tests.hostile import corpus, picture
from tests.server import Server
from tests.test_faults import until
from tests.test_hostile import request
from tests.test_predict import DATA
from tests.test_protocol import ENTIRE, HEALTH

# Ten minutes in `make soak`.
SECONDS = float(os.environ.get("SOAK_SECONDS", "12"))
PARTS = 10  # the first warms up; the second is compared with the last
CLIENTS = 4
BAD_SHARE = 0.05


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def mixture() -> list[tuple[float, bytes]]:
    """Requests with their weights: mostly predictions, and every other endpoint."""
    digit = (DATA / "digit-7.json").read_bytes()
    tensor = b'{"inputs":[{"name":"image","shape":[1,784],"datatype":"FP32","data":[%s]}]}' % (
        b"0," * 783 + b"0"
    )
    return [
        (50, ENTIRE),
        (10, request("/predict", "application/json", digit, chunked=True)),
        (10, request("/predict", "application/octet-stream", bytes(784), chunked=False)),
        (5, request("/predict?preview=true", "image/png", picture("png"), chunked=False)),
        (5, request("/v2/models/mnist-cnn/infer", "application/json", tensor, chunked=False)),
        (5, HEALTH),
        (1, get("/metrics")),
        *(
            (1, get(path))
            for path in ("/", "/docs", "/openapi.json", "/v2", "/v2/health/ready", "/static/style.css")
        ),
    ]


@dataclass
class Part:
    """What one stretch of time saw."""

    latencies: list[float]
    requests: int = 0
    bad: int = 0
    memory: int = 0
    descriptors: int = 0
    threads: int = 0
    tasks: int = 0


class Soak:
    """Clients on kept connections; now and then one hangs up, sometimes in the middle of a request."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._random = random.Random(1)
        self._weights, self._good = zip(*mixture(), strict=True)
        self._bad = [
            request("/predict", hostile.content_type, hostile.body, chunked=False)
            for hostile in corpus()
            if len(hostile.body) < 100_000
        ]
        self.wrong: list[tuple[int, bytes]] = []

    async def run(self, part: Part, seconds: float) -> None:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(self._client(part, end) for _ in range(CLIENTS)))

    async def _client(self, part: Part, end: float) -> None:
        reader, writer = await self._connect()
        while time.perf_counter() < end:
            bad = self._random.random() < BAD_SHARE
            question = (
                self._random.choice(self._bad) if bad else self._random.choices(self._good, self._weights)[0]
            )
            if self._random.random() < 0.01:  # hang up, half of the time with half a request
                writer.write(question[: len(question) // 2 * self._random.randint(0, 1)])
                writer.close()
                reader, writer = await self._connect()
            began = time.perf_counter()
            writer.write(question)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            if question is ENTIRE:
                part.latencies.append(time.perf_counter() - began)
            part.requests += 1
            part.bad += bad
            status = int(head[9:12])
            if status >= 500 or (status >= 400 and not bad):
                self.wrong.append((status, question[:100]))
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._address.hostname, self._address.port)


def counts_of_tasks(server: Server) -> list[int]:
    return [line["tasks"] for line in server.lines() if line["message"] == "tasks"]


def measure(part: Part, server: Server) -> None:
    """Read what the process holds, once its connections are closed."""
    before = len(counts_of_tasks(server))
    until(lambda: len(counts_of_tasks(server)) > before + 1)  # the connections' ends have arrived by then
    part.tasks = counts_of_tasks(server)[-1]
    process = Path(f"/proc/{server.process.pid}")
    part.memory = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    part.descriptors = len(list((process / "fd").iterdir()))
    part.threads = len(list((process / "task").iterdir()))


@pytest.fixture
def server(tmp_path):
    """A service that tells how many tasks it has."""
    server = Server(tmp_path / "server.log", {}, "tests.watched")
    yield server.wait_until_ready()
    server.kill()


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_nothing_grows_and_nothing_slows_down(server):
    soak = Soak(server.url)
    parts = []

    for _ in range(PARTS):
        parts.append(Part(latencies=[]))
        asyncio.run(soak.run(parts[-1], SECONDS / PARTS))
        measure(parts[-1], server)

    figures = requests.get(f"{server.url}/metrics", timeout=10).text
    first, last = parts[0], parts[-1]
    growth = last.memory / first.memory - 1
    medians = [float(np.median(part.latencies)) * 1000 for part in parts[1:]]
    count = sum(part.requests for part in parts)
    print(
        f"{SECONDS:g} s, {count} requests, {sum(part.bad for part in parts) / count:.1%} bad: "
        f"memory {growth:+.2%} after the first tenth, "
        f"{first.descriptors} then {last.descriptors} descriptors, "
        f"{first.threads} then {last.threads} threads, {first.tasks} then {last.tasks} tasks, "
        f"median of each tenth from the second on {', '.join(f'{median:.2f}' for median in medians)} ms"
    )
    assert soak.wrong == []
    assert growth < (0.02 if SECONDS >= 300 else 0.1)  # a short run is mostly warming up
    assert last.descriptors <= first.descriptors + 2
    assert last.threads <= first.threads + 1
    assert last.tasks <= first.tasks
    assert medians[-1] < 3 * medians[0] + 5  # room for whatever else the machine has to do
    assert "http_requests_in_flight 1.0" in figures  # this very one
    assert "inference_queue_depth 0.0" in figures
    assert "Traceback" not in server.log.read_text()
