"""Time a prediction in the process that serves, without sockets, and again without each of its parts.

    python -m benchmarks.parts
    python -m benchmarks.parts --write     # and keep the table in benchmarks/README.md

Requests go into real connections from memory, one on each, and the answers come back the same way. A part is
left out by giving an answer that it gave before: what a request costs less then is what the part costs. Times
are processor time, and medians over rounds in which all take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import uvloop

from benchmarks.bodies import json_body, load_digits
from benchmarks.report import README, markdown_row, replace_section
from benchmarks.timing import Timer, interleave, parser
from service.api.app import create_app
from service.api.predict import respond
from service.api.request_context import RequestTracker
from service.api.state import Service
from service.inference import batcher
from service.inference.model import Model
from service.inference.prediction import predictions
from service.inputs.numbers import JSON, NumberReader
from service.metrics import Metrics
from service.server import fast_path, protocol
from service.server.server import Server
from service.settings import Settings

CONNECTIONS = (1, 64)
WHOLE, GENERAL = "the whole request", "the same on the general path"
BEHIND_PROXY = "the same from a browser behind a proxy, with 16 headers more"
WAYS = (BEHIND_PROXY, GENERAL)
REST = "the HTTP parser, the connection, the queue, turns of the event loop"
HEADERS = b"""\
X-Request-ID: 5f3a8c1e9d7b4f60a2c4e6f8091b3d5f
X-Real-IP: 203.0.113.7
X-Forwarded-For: 203.0.113.7
X-Forwarded-Host: digits.example.org
X-Forwarded-Port: 443
X-Forwarded-Proto: https
X-Scheme: https
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0
Accept: */*
Accept-Language: en-GB,en;q=0.5
Accept-Encoding: gzip, deflate, br, zstd
Referer: https://digits.example.org/
Origin: https://digits.example.org
Sec-Fetch-Dest: empty
Sec-Fetch-Mode: cors
Sec-Fetch-Site: same-origin
""".replace(b"\n", b"\r\n")

Leave = Callable[[], AbstractContextManager[object]]


class Client(asyncio.Transport):
    """The other side of connections in the same process; counts what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 0
        self._answered: asyncio.Future[None] | None = None

    def expect(self, count: int) -> asyncio.Future[None]:
        """Return what is done when so many answers have come."""
        self._left, self._answered = count, asyncio.get_running_loop().create_future()
        return self._answered

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Take an answer; on the general path its headers come before it, alone."""
        self._left -= b'"model"' in data
        if not self._left and self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def is_closing(self) -> bool:
        """Say that no connection ends."""
        return False

    def close(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


def parts(service: Service, body: bytes) -> dict[str, Leave]:
    """Name the parts of a prediction, and what leaves each of them out."""
    pixels = service.numbers.read(JSON, body).copy()
    logits = np.random.default_rng(0).normal(0, 6, (max(CONNECTIONS), 10)).astype(np.float32)
    prediction = predictions(logits[:1], service.card)[0]
    response = respond(prediction)

    def conclude(queue: Any, *_: object) -> None:
        queue._running = None
        queue._schedule_start()

    left_out: dict[str, tuple[object, str, Callable[..., object]]] = {
        "the forward pass": (Model, "logits", lambda _, images: logits[: len(images)]),
        "JSON to pixels": (NumberReader, "read", lambda *_: pixels),
        "logits to class, probabilities and energy": (
            batcher,
            "predictions",
            lambda rows, _: [prediction] * len(rows),
        ),
        "metrics of the batch": (batcher.Batcher, "_conclude", conclude),
        "the range of the pixels": (batcher, "in_range", lambda _: True),
        "the answer to JSON": (fast_path, "respond", lambda *_, **__: response),
        "metrics of the request": (Metrics, "request", lambda *_: None),
        "the request's id": (RequestTracker, "identify", lambda *_: (b"0" * 32, b"")),
    }
    return {name: partial(patch.object, *replaced) for name, replaced in left_out.items()}


def timer(loop: asyncio.AbstractEventLoop, server: Server, requests: Sequence[bytes], leave: Leave) -> Timer:
    """Make a timer of these requests, each on a connection of its own, without a part."""
    make: Any = server.config.http_protocol_class
    client = Client()
    connections = [make(server.config, server.server_state, {}, loop) for _ in requests]
    for connection in connections:
        connection.connection_made(client)

    async def run(repeats: int) -> float:
        began = process_time()
        for _ in range(repeats):
            answered = client.expect(len(requests))
            for connection, request in zip(connections, requests, strict=True):
                connection.data_received(request)
            await answered
            await asyncio.sleep(0)  # for what the service does once it has answered
        return (process_time() - began) / repeats

    def run_without(repeats: int) -> float:
        with leave():
            return loop.run_until_complete(run(repeats))

    return run_without


def measure(bodies: Sequence[bytes], *, rounds: int, seconds: float) -> list[dict[str, list[float]]]:
    """Return the seconds of processor time of a request without each part, by number of connections."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
    heads = [head % (JSON, len(body)) for body in bodies]
    requests = [b"%b\r\n%b" % each for each in zip(heads, bodies, strict=True)]
    proxied = [b"%b%b\r\n%b" % (head, HEADERS, body) for head, body in zip(heads, bodies, strict=True)]
    app = create_app(Settings())
    server = Server(app, Settings())
    server.config.load()
    loop = uvloop.new_event_loop()
    lifespan = app.router.lifespan_context(app)
    loop.run_until_complete(lifespan.__aenter__())
    leaves: dict[str, Leave] = {
        WHOLE: nullcontext,
        GENERAL: partial(patch.object, protocol, "find_media_type", lambda *_: None),
        **parts(app.state.service, bodies[0]),
    }
    taken = []
    for count in CONNECTIONS:
        timers = {name: timer(loop, server, requests[:count], leave) for name, leave in leaves.items()}
        timers[BEHIND_PROXY] = timer(loop, server, proxied[:count], nullcontext)
        measured = interleave(timers, rounds=rounds, seconds=seconds)
        taken.append({name: [one / count for one in each] for name, each in measured.items()})
    loop.run_until_complete(lifespan.__aexit__(None, None, None))
    return taken


def table(taken: Sequence[dict[str, list[float]]]) -> str:
    """Lay out what the whole request costs, and each part of it, the dearest first."""
    columns = [_costs(each) for each in taken]
    names = sorted(columns[0].keys() - {WHOLE, REST, *WAYS}, key=columns[0].__getitem__, reverse=True)
    lines = [
        markdown_row(["part", *(f"µs at {count} | share" for count in CONNECTIONS)]),
        markdown_row(["---", *["---: | ---:"] * len(columns)]),
    ]
    for name in (WHOLE, *names, REST, *WAYS):
        cells = [f"{each[name] * 1e6:.1f} | {each[name] / each[WHOLE]:.0%}" for each in columns]
        lines.append(markdown_row([name, *cells]))
    return "\n".join(lines)


def _costs(taken: dict[str, list[float]]) -> dict[str, float]:
    costs = {
        name: median(whole - without for whole, without in zip(taken[WHOLE], each, strict=True))
        for name, each in taken.items()
        if name not in (WHOLE, *WAYS)
    }
    totals = {name: median(taken[name]) for name in (WHOLE, *WAYS)}
    return {**costs, **totals, REST: totals[WHOLE] - sum(costs.values())}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    command = parser("benchmarks.parts", __doc__, rounds=60, seconds=0.03, per="part")
    options = command.parse_args(arguments)
    digits = load_digits(options.data, max(CONNECTIONS))
    bodies = [json_body(image) for image in digits.images]
    text = table(measure(bodies, rounds=options.rounds, seconds=options.seconds))
    print(text)
    if options.write:
        replace_section(README, "parts", text)


if __name__ == "__main__":
    main()
