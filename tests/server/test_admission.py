"""Costly bodies: what can't have room is refused from its head, and the others have their time meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from service.server.throttle import INTERVAL_SECONDS, REFUSALS_PER_INTERVAL, weigh
from tests.support.http import HEALTHZ, PREDICT, PREDICT_BODY, PREDICT_HEAD, raw_post, read_statuses
from tests.support.load import Connection, Latencies
from tests.support.pictures import enlarged, save
from tests.support.process import pin_to_one_core
from tests.support.server import Server
from tests.support.soak import OVERLOAD_SECONDS, SOAK

IMAGES = 240
ROUNDS = 4 if SOAK else 1  # of each number of clients in turn: the machine is not as fast at all times
JSON = "application/json"
JSON_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PICTURE = raw_post("/predict", "image/png", save(Image.fromarray(np.eye(28, dtype=np.uint8) * 255), "PNG"))


def large_request(images: int = IMAGES, last: object = 0.5) -> bytes:
    pixels = [[round(random.random(), 2) for _ in range(784)] for _ in range(images)]
    pixels[-1][-1] = last
    body = json.dumps({"images": pixels}, separators=(",", ":")).encode()
    return JSON_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("path", [b"/predict", b"/v2/models/mnist-cnn/infer"])
def test_a_request_that_can_have_no_room_is_refused_from_its_head(start_server, path):
    server = start_server(MAX_QUEUE_SIZE=256)
    head = JSON_HEAD.replace(b"/predict", path) + b"Content-Length: 1000000\r\n\r\n"

    with server.connect() as first, server.connect() as second, server.connect() as small:
        first.sendall(head)
        assert server.health() == 200  # and so the head has been read
        second.sendall(head)
        assert read_statuses(second, 1) == [503]
        small.sendall(PREDICT)
        assert read_statuses(small, 1) == [200]

        first.close()
        large = large_request()
        for _ in range(100):
            small.sendall(large)
            if read_statuses(small, 1) == [200]:
                break
        else:
            raise AssertionError("the room of a request whose client has gone is never given back")


def test_a_refused_connection_reads_its_body_away_and_goes_on(start_server):
    server = start_server(MAX_QUEUE_SIZE=256)
    head = JSON_HEAD + b"Content-Length: 1000000\r\n\r\n"

    with server.connect() as first, server.connect() as second:
        first.sendall(head)
        assert server.health() == 200
        for _ in range(10):  # more than is read away without a pause
            second.sendall(head + bytes(1_000_000) + HEALTHZ)
            assert read_statuses(second, 2) == [503, 200]


@pytest.mark.parametrize("status", [413, 422])
def test_large_bodies_that_are_wrong_leave_time_for_others(start_server, status):
    server = start_server()
    request = large_request(300) if status == 413 else large_request(last="x")

    async def run() -> tuple[Counter[int], Latencies]:
        statuses: Counter[int] = Counter()
        health = Latencies()
        ended = asyncio.Event()

        async def send() -> None:
            connection = Connection(server.address)
            while not ended.is_set():
                statuses[(await connection.ask(request)).status] += 1
            connection.close()

        senders = [asyncio.create_task(send()) for _ in range(16)]
        while statuses[status] < 20:
            connection = Connection(server.address)
            await health.ask(connection, HEALTHZ)
            connection.close()
        ended.set()
        await asyncio.gather(*senders)
        return statuses, health

    statuses, health = asyncio.run(run())

    assert set(statuses) <= {status, 503}
    assert health.seconds.keys() == {200}


@dataclass
class Answered:
    """What the clients of a load got, and beside them /healthz, a lone prediction and a small picture."""

    statuses: Counter[int] = field(default_factory=Counter)
    health: Latencies = field(default_factory=Latencies)
    small: Latencies = field(default_factory=Latencies)
    picture: Latencies = field(default_factory=Latencies)

    def __str__(self) -> str:
        """Say so."""
        return (
            f"{dict(self.statuses)}; health p99 {self.health.milliseconds(200, 99):.0f} ms, "
            f"a lone prediction p99 {self.small.milliseconds(200, 99):.0f} ms, "
            f"a picture's p99 {self.picture.milliseconds(200, 99):.0f} ms"
        )


async def load(server: Server, request: bytes, clients: int, seconds: float, answered: Answered) -> None:
    """Send a request from so many clients without a pause, beside the small ones of others."""
    ended = asyncio.Event()

    async def send() -> None:
        connection = Connection(server.address)
        while not ended.is_set():
            answered.statuses[(await connection.ask(request)).status] += 1
        connection.close()

    async def probe(latencies: Latencies, what: bytes) -> None:
        connection = Connection(server.address)
        while not ended.is_set():
            await latencies.ask(connection, what)
            await asyncio.sleep(0.02)
        connection.close()

    tasks = [asyncio.create_task(send()) for _ in range(clients)]
    tasks += [
        asyncio.create_task(probe(answered.health, HEALTHZ)),
        asyncio.create_task(probe(answered.small, PREDICT)),
        asyncio.create_task(probe(answered.picture, PICTURE)),
    ]
    await asyncio.sleep(seconds)
    ended.set()
    await asyncio.gather(*tasks)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(120 + 5 * OVERLOAD_SECONDS)
def test_clients_with_many_images_get_as_much_however_many_there_are(start_server):
    server = start_server()
    pin_to_one_core(server.process.pid)
    request = large_request()

    results = {clients: Answered() for clients in (4, 2, 8, 32, 64)}
    for _ in range(ROUNDS):
        for clients, answered in results.items():
            asyncio.run(load(server, request, clients, OVERLOAD_SECONDS / ROUNDS, answered))

    for clients, answered in results.items():
        served = answered.statuses[200]
        print(
            f"{clients} clients with {IMAGES} images: {served * IMAGES / OVERLOAD_SECONDS:,.0f} images/s, "
            f"{answered}"
        )
        assert set(answered.statuses) <= {200, 503}  # no 504: nothing that was accepted timed out
        assert answered.health.seconds.keys() == {200}
        assert answered.small.seconds.keys() <= {200, 503}
        assert answered.picture.seconds.keys() <= {200, 503}
        assert served > 0
        if SOAK:
            assert served >= 0.8 * results[4].statuses[200]
            assert answered.health.milliseconds(200, 99) <= 50
            assert answered.small.milliseconds(200, 99) <= 100
            assert answered.picture.milliseconds(200, 99) <= 100
            assert answered.small.seconds.keys() == answered.picture.seconds.keys() == {200}


MEGABYTE = 1_000_000
FORM = "multipart/form-data; boundary=x"
INFER = "/v2/models/mnist-cnn/infer"


def costly_requests() -> dict[str, tuple[bytes, set[int]]]:
    """Requests that cost little to send and much to read, and how they are answered."""
    image = json.dumps([0.1234] * 784, separators=(",", ":"))
    many = ",".join([image] * (MEGABYTE // (len(image) + 1) - 1))
    tensor = '{"inputs":[{"name":"image","shape":[%d,784],"datatype":"FP32","data":[%s]}]}'
    progressive = save(enlarged(np.eye(28, dtype=np.uint8) * 255, 0).convert("RGB"), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    zeros = gzip.compress(b'{"image":[' + b"0," * (MEGABYTE // 2) + b"0]}")
    compressed = raw_post("/predict", "application/json", zeros)
    bodies = {
        "the last pixel is a text": ("/predict", JSON, f'{{"images":[{many},["x"]]}}', {422}),
        "a key that is there twice": ("/predict", JSON, f'{{"images":[{many}],"images":[]}}', {400}),
        "one image of many integers": ("/predict", JSON, f'{{"image":[{"1," * (MEGABYTE // 2)}1]}}', {413}),
        "empty lists": ("/predict", JSON, f'{{"images":[{"[]," * (MEGABYTE // 3)}[]]}}', {413}),
        "objects": ("/predict", JSON, f'{{"images":[{"{}," * (MEGABYTE // 3)}{{}}]}}', {400}),
        "brackets": ("/predict", JSON, '{"image":' + "[" * (MEGABYTE - 20), {413}),
        "tensors of texts": (INFER, JSON, tensor % (1, '"a",' * (MEGABYTE // 4 - 99) + '"a"'), {413}),
        "tensors in rows": (INFER, JSON, tensor % (many.count("[") + 1, many + "," + image), {200, 413}),
        "a form of line ends": (
            "/predict",
            FORM,
            head + b"\r\n--" * (MEGABYTE // 4 - 99) + b"\r\n--x--",
            {400},
        ),
        "a JPEG of 50 scans": ("/predict", "image/jpeg", progressive[:-2] + scan * 40 + b"\xff\xd9", {200}),
    }
    requests = {
        name: (raw_post(path, kind, body if isinstance(body, bytes) else body.encode()), statuses)
        for name, (path, kind, body, statuses) in bodies.items()
    }
    zipped = compressed.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1)
    sheet = Image.new("RGB", (2048, 2048), "white")
    sheet.paste("black", (1000, 500, 1100, 1500))
    sheet, larger = (
        raw_post("/predict", "image/webp", save(picture, "WEBP", lossless=True))
        for picture in (sheet, sheet.resize((2060, 2060)))
    )
    parts = save(Image.new("L", (28, 28)))[:33] + (bytes(4) + b"eXIf" + bytes(4)) * 10_000
    chunks = raw_post("/predict", JSON, b"1" * (MEGABYTE // 5), chunk_bytes=1)
    return requests | {
        "a megabyte of zeros, compressed": (zipped, {413}),
        "a small file of four million pixels": (sheet, {200}),
        "a small file of more pixels than are read": (larger, {413}),
        "a small file of many parts": (raw_post("/predict", "image/png", parts), {400}),
        "chunks of a byte": (chunks, {400}),
        "chunks of a byte that nobody reads": (chunks.replace(b"/predict", b"/nothing", 1), {404}),
    }


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(120 + 12 * OVERLOAD_SECONDS)
def test_bodies_that_cost_much_to_read_leave_time_for_others(start_server):
    server = start_server()
    pin_to_one_core(server.process.pid)
    with server.connect() as connection:
        connection.sendall(PICTURE)  # the first one brings Pillow in
        assert read_statuses(connection, 1) == [200]

    for name, (request, expected) in costly_requests().items():
        answered = Answered()
        asyncio.run(load(server, request, 16, OVERLOAD_SECONDS / 4, answered))

        print(f"16 clients, {name}: {answered}")
        assert set(answered.statuses) <= expected | {503, 504}, name
        assert answered.statuses.keys() & expected, name
        assert answered.health.seconds.keys() == {200}, name
        assert answered.small.seconds.keys() == {200}, name
        assert answered.picture.seconds.keys() == {200}, name
        if SOAK:
            assert answered.health.milliseconds(200, 99) <= 50, name
            assert answered.small.milliseconds(200, 99) <= 100, name
            assert answered.picture.milliseconds(200, 99) <= 100, name


@pytest.mark.parametrize("size", [MEGABYTE, 2 * MEGABYTE], ids=["within the limit", "over the limit"])
@pytest.mark.parametrize("form", ["chunked", "compressed"])
def test_a_refusal_counts_as_what_was_read_whatever_its_head_says(start_server, form, size):
    server = start_server()
    body = b'{"image":[' + b"0," * (size // 2 - 20) + b"0]}"
    request = raw_post("/predict", JSON, gzip.compress(body))
    request = request.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1)
    if form == "chunked":
        request = raw_post("/predict", JSON, body, chunk_bytes=size)
    intervals = 5

    began = time.monotonic()
    with server.connect() as connection:
        for _ in range((intervals + 1) * REFUSALS_PER_INTERVAL // weigh(MEGABYTE, full=False) + 1):
            connection.sendall(request)
            assert read_statuses(connection, 1) == [413]

    assert time.monotonic() - began > intervals * INTERVAL_SECONDS


def test_requests_that_fit_are_admitted_side_by_side(start_server):
    server = start_server()
    half = PREDICT_HEAD + b"Content-Length: %d\r\n\r\n" % len(PREDICT_BODY)

    connections = [server.connect() for _ in range(100)]
    for connection in connections:
        connection.sendall(half)
    for connection in connections:
        connection.sendall(PREDICT_BODY)

    assert [read_statuses(connection, 1) for connection in connections] == [[200]] * 100
    for connection in connections:
        connection.close()
