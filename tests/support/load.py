"""The load that tests put on a server: clients that send raw requests and read whole answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np

from tests.support.http import PREDICT

TIMEOUT_SECONDS = 30
Address = tuple[str, int]


@dataclass(frozen=True)
class Answer:
    """One answer; its head is in small letters."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """A client's connection: opened for the first request, and again after an answer that closes it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, data: bytes) -> asyncio.StreamReader:
        """Send some bytes, and wait for nothing."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(data)
        return reader

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader = await self.send(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
        if b"\r\nconnection: close\r\n" in head:
            self.close()
        return Answer(int(head[9:12]), head, body)

    def close(self) -> None:
        """Hang up, whatever is still to be sent."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


class Load:
    """Clients that predict without end while a test does something else: ``with Load(address) as load``.

    Some keep their connection, some open one for each request. ``results`` has what ``read`` made of each
    client's answers, in their order; ``failures`` counts connections that broke and answers that ``read``
    could not read.
    """

    def __init__(
        self,
        address: Address,
        read: Callable[[Answer], object],
        *,
        kept: int = 4,
        one_shot: int = 0,
        pause_seconds: float = 0.0,
    ) -> None:
        self._address = address
        self._read = read
        self._pause_seconds = pause_seconds
        self._clients = [True] * kept + [False] * one_shot
        self._end = threading.Event()
        self._thread = ThreadPoolExecutor(1, "load")
        self.results: list[list[object]] = [[] for _ in self._clients]
        self.failures: Counter[str] = Counter()

    def __enter__(self) -> Load:
        """Begin, in a thread."""
        self._done = self._thread.submit(asyncio.run, self._run())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let each client finish its request."""
        self._end.set()
        self._done.result()
        self._thread.shutdown()

    async def _run(self) -> None:
        await asyncio.gather(*map(self._client, self._clients, self.results))

    async def _client(self, keep: bool, results: list[object]) -> None:
        connection = Connection(self._address)
        while not self._end.is_set():
            try:
                results.append(self._read(await connection.ask(PREDICT)))
            except (OSError, EOFError, LookupError, ValueError) as error:
                self.failures[repr(error)] += 1
                connection.close()
                await asyncio.sleep(0.01)
            if not keep:
                connection.close()
            await asyncio.sleep(self._pause_seconds)
        connection.close()


@dataclass
class Latencies:
    """How long answers took, by their status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    without_retry_after: int = 0

    async def ask(self, connection: Connection, request: bytes) -> Answer:
        """Send a request and add what its answer took, with the time to connect if it does."""
        began = time.perf_counter()
        answer = await connection.ask(request)
        self.seconds.setdefault(answer.status, []).append(time.perf_counter() - began)
        if answer.status == 503:
            self.without_retry_after += b"\r\nretry-after: 1\r\n" not in answer.head
        return answer

    def count(self, status: int) -> int:
        """How many answers had a status."""
        return len(self.seconds.get(status, ()))

    def milliseconds(self, status: int, percent: float) -> float:
        """A percentile of the latencies of a status."""
        return 1000 * float(np.percentile(self.seconds.get(status, [0.0]), percent))


async def predict_at_rate(address: Address, rate: float, seconds: float, connections: int) -> Latencies:
    """Send predictions at a rate, whatever comes back, on connections that are kept."""
    latencies = Latencies()
    began = time.perf_counter()
    numbers = iter(range(int(rate * seconds)))

    async def client(numbers: Iterator[int]) -> None:
        connection = Connection(address)
        for number in numbers:
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            await latencies.ask(connection, PREDICT)
        connection.close()

    await asyncio.gather(*(client(numbers) for _ in range(connections)))
    return latencies


async def predictions_per_second(address: Address, seconds: float, connections: int) -> float:
    """How many predictions a second that many clients get, each asking again at once."""
    began = time.perf_counter()
    served = 0

    async def client() -> None:
        nonlocal served
        connection = Connection(address)
        while time.perf_counter() - began < seconds:
            answer = await connection.ask(PREDICT)
            served += answer.status == 200
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return served / (time.perf_counter() - began)
