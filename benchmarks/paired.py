"""Measure contenders against a reference, and express each figure as a ratio to the reference's.

The two run at the same time on the same core, and load goes to one of them while the other is idle. Both get
their load within a few seconds of each other, at each number of connections and in each round, so that most
of a machine's noise cancels out of the ratio.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.bench import Bench
from benchmarks.contenders import Contender, Server
from benchmarks.drive import Load
from benchmarks.harness import progress, rotated
from benchmarks.measure import pss_bytes
from benchmarks.results import Run


@dataclass(frozen=True)
class Pair:
    """A contender and its reference in one round."""

    contender: Run
    reference: Run


@dataclass(frozen=True)
class Quantity:
    """One figure of a run, how it is shown, and what it is called."""

    title: str
    of: Callable[[Run], float]
    show: Callable[[float], str]


@dataclass(frozen=True)
class Ratio:
    """A quantity of a contender over that of its reference: median, least and greatest of the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Show all three."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def measure_pairs(
    bench: Bench,
    reference: Contender,
    others: Sequence[Contender],
    *,
    rounds: int,
    seconds: int,
    connections: Sequence[int],
) -> list[Pair]:
    """Measure each contender beside the reference in every round; rounds start with another contender.

    All get the first of the reference's bodies.

    Seconds to ready and memory are those of a server that is alone: with two of them, the pages that they
    share would count in part.

    Raises:
        RuntimeError: wrk is missing, or a contender fails.
    """
    pairs = []
    body = reference.bodies[0]
    for number in range(rounds):
        with bench.started(reference) as server:
            reference_alone = _measure_alone(bench, server, reference, number, body, connections[-1])
        for place, contender in enumerate(rotated(others, number)):
            with ExitStack() as stack:
                server = stack.enter_context(bench.started(contender))
                alone = _measure_alone(bench, server, contender, number, body, connections[-1])
                beside = stack.enter_context(bench.started(reference))
                bench.warm_up(beside, body, connections[-1])
                first_is_reference = (number + place) % 2 == 0
                servers = (beside, server) if first_is_reference else (server, beside)
                loads = [
                    _in_turn(bench, servers, first_is_reference, body, count, seconds)
                    for count in connections
                ]
            pair = Pair(
                replace(alone, loads=[load for load, _ in loads]),
                replace(reference_alone, loads=[load for _, load in loads]),
            )
            print(progress(pair.contender), file=sys.stderr)
            print(progress(pair.reference), file=sys.stderr)
            pairs.append(pair)
    return pairs


def ratio(pairs: Sequence[Pair], of: Callable[[Run], float]) -> Ratio:
    """Divide within each round, and only then take the median."""
    ratios = [of(pair.contender) / of(pair.reference) for pair in pairs]
    return Ratio(median(ratios), min(ratios), max(ratios))


def rate_at(count: int) -> Quantity:
    """Requests per second at a number of connections."""
    return Quantity(
        f"requests/s at {count}", lambda run: _load_at(run, count).rate, lambda rate: f"{rate:,.0f}"
    )


def served_at(count: int) -> Quantity:
    """Requests per second that were answered with a prediction."""
    return Quantity(
        f"predictions/s at {count}",
        lambda run: _load_at(run, count).served_rate,
        lambda rate: f"{rate:,.0f}",
    )


def p50_at(count: int) -> Quantity:
    """Median latency at a number of connections."""
    return Quantity(f"p50 ms at {count}", lambda run: _load_at(run, count).p50, _milliseconds)


def p99_at(count: int) -> Quantity:
    """The latency that one request in a hundred exceeds."""
    return Quantity(f"p99 ms at {count}", lambda run: _load_at(run, count).p99, _milliseconds)


def cpu_at(count: int) -> Quantity:
    """Processor time of the server for one request."""

    def of(run: Run) -> float:
        load = _load_at(run, count)
        return load.cpu_seconds / load.requests

    return Quantity(f"CPU µs per request at {count}", of, lambda seconds: f"{seconds * 1e6:.0f}")


READY = Quantity("ready s", lambda run: run.startup_seconds, lambda seconds: f"{seconds:.2f}")
MEMORY = Quantity("memory MB", lambda run: run.pss_bytes, lambda size: f"{size / 1e6:.0f}")


def _measure_alone(
    bench: Bench, server: Server, contender: Contender, number: int, body: str, connections: int
) -> Run:
    wrong = bench.count_wrong(server, contender)
    bench.warm_up(server, body, connections)
    return Run(number, contender.name, server.startup_seconds, pss_bytes(server.pid), wrong, [])


def _in_turn(
    bench: Bench,
    servers: tuple[Server, Server],
    first_is_reference: bool,
    body: str,
    connections: int,
    seconds: int,
) -> tuple[Load, Load]:
    """Load two servers one after the other; return the contender's load, then the reference's."""
    first, second = (bench.load(server, body, connections, seconds) for server in servers)
    return (second, first) if first_is_reference else (first, second)


def _load_at(run: Run, connections: int) -> Load:
    return next(load for load in run.loads if load.connections == connections)


def _milliseconds(microseconds: float) -> str:
    return f"{microseconds / 1000:.2f}"
