"""What a server costs that has little to do: its start, its memory, and processor time at a few requests."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from time import perf_counter, sleep
from urllib.parse import urlsplit

from benchmarks.bench import Bench, open_bench
from benchmarks.contenders import Contender
from benchmarks.harness import rotated
from benchmarks.measure import cpu_seconds, pss_bytes, rss_bytes, settle
from benchmarks.report import markdown_row
from benchmarks.workload import Bodies, Workload

REQUESTS_PER_SECOND = 10


@dataclass(frozen=True)
class Footprint:
    """One contender in one round; memory after the requests, processor time for one of them."""

    contender: str
    ready_seconds: float
    first_answer_seconds: float
    rss_bytes: int
    pss_bytes: int
    cpu_seconds_per_request: float


def measure(workload: Workload, chosen: Sequence[Contender], *, rounds: int, seconds: int) -> str:
    """Measure every contender in every round, one at a time, and lay the medians out as Markdown.

    Raises:
        RuntimeError: this machine has one core only, or a contender fails.
    """
    found = []
    with open_bench(workload) as bench:
        for number in range(rounds):
            for contender in rotated(chosen, number):
                found.append(_measure(bench, contender, seconds))
                print(found[-1], file=sys.stderr)
    return table(chosen, found)


def table(chosen: Sequence[Contender], found: Sequence[Footprint]) -> str:
    """Lay out a line for each contender: medians over the rounds."""
    per_thousand = f"CPU s per 1,000 requests at {REQUESTS_PER_SECOND} requests/s"
    head = ["", "ready s", "first answer s", "RSS MB", "PSS MB", per_thousand]
    lines = [markdown_row(head), markdown_row(["---", *["---:"] * (len(head) - 1)])]
    for contender in chosen:
        own = [one for one in found if one.contender == contender.name]
        cells = [
            f"{median(one.ready_seconds for one in own):.2f}",
            f"{median(one.first_answer_seconds for one in own):.2f}",
            f"{median(one.rss_bytes for one in own) / 1e6:.0f}",
            f"{median(one.pss_bytes for one in own) / 1e6:.0f}",
            f"{median(one.cpu_seconds_per_request for one in own) * 1000:.2f}",
        ]
        lines.append(markdown_row([contender.title, *cells]))
    return "\n".join(lines)


def post_paced(url: str, bodies: Bodies, *, per_second: float, count: int) -> None:
    """Post bodies in turn over one connection, each at its time; a late answer delays the next one only.

    Raises:
        RuntimeError: an answer is not 200.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    start = perf_counter()
    for number, body in enumerate(islice(cycle(bodies.contents), count)):
        sleep(max(0.0, start + number / per_second - perf_counter()))
        connection.request("POST", address.path, body, {"Content-Type": bodies.content_type})
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{url} answered {response.status}")
    connection.close()


def _measure(bench: Bench, contender: Contender, seconds: int) -> Footprint:
    bodies = bench.workload.bodies[contender.bodies[0]]
    with bench.started(contender) as server:
        start = perf_counter()
        post_paced(server.url, bodies, per_second=REQUESTS_PER_SECOND, count=1)
        first_answer = server.startup_seconds + perf_counter() - start
        bench.count_wrong(server, contender)
        settle(server.pid)
        before = cpu_seconds(server.pid)
        count = REQUESTS_PER_SECOND * seconds
        post_paced(server.url, bodies, per_second=REQUESTS_PER_SECOND, count=count)
        used = cpu_seconds(server.pid) - before
        return Footprint(
            contender.name,
            server.startup_seconds,
            first_answer,
            rss_bytes(server.pid),
            pss_bytes(server.pid),
            used / count,
        )
