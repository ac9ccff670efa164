"""What traces cost: the service that sends them, beside the service that was not asked to.

The receiver takes what comes and keeps nothing; it shares the core of the load generator.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.against import WORKING_TREE
from benchmarks.bench import open_bench
from benchmarks.contenders import Contender
from benchmarks.paired import MEMORY, READY, Pair, cpu_at, measure_pairs, p50_at, p99_at, rate_at, ratio
from benchmarks.report import markdown_row
from benchmarks.workload import Workload

CONNECTIONS = (1, 8, 64)
SHARES = {"0 %": "0", "1 %": "0.01", "100 %": "1"}


def measure(workload: Workload, *, rounds: int, seconds: int) -> str:
    """Measure the service with traces of each share of its requests, and lay the ratios out as Markdown.

    Raises:
        RuntimeError: wrk is missing, or a server fails.
    """
    with receiver() as url, open_bench(workload) as bench:
        contenders = [_tracing(share, ratio, url) for share, ratio in SHARES.items()]
        pairs = measure_pairs(
            bench, WORKING_TREE, contenders, rounds=rounds, seconds=seconds, connections=CONNECTIONS
        )
    return table(pairs)


def table(pairs: Sequence[Pair]) -> str:
    """Lay out a line for each share: medians of the ratios, with traces over without."""
    quantities = [*map(rate_at, CONNECTIONS), p50_at(1), p99_at(64), cpu_at(1), cpu_at(64), READY, MEMORY]
    lines = [
        markdown_row(["requests that are traced", *(quantity.title for quantity in quantities)]),
        markdown_row(["---", *["---:"] * len(quantities)]),
    ]
    for share in SHARES:
        own = [pair for pair in pairs if pair.contender.contender == share]
        lines.append(markdown_row([share, *(f"{ratio(own, one.of).median:.2f}" for one in quantities)]))
    return "\n".join(lines)


@contextmanager
def receiver() -> Iterator[str]:
    """Take what is posted, on a free port, and answer as a receiver of OTLP does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Read a message, and accept all that is in it."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _tracing(share: str, ratio: str, url: str) -> Contender:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ratio,
    }
    return Contender(share, f"traces of {share}", "service", environment=environment)
