"""Measure contenders in interleaved rounds, one at a time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.bench import Bench, open_bench
from benchmarks.contenders import Contender
from benchmarks.measure import pss_bytes
from benchmarks.results import Results, Run
from benchmarks.workload import Workload


@dataclass(frozen=True)
class Harness:
    """How to measure: the name of the model, what is served and asked, and the load."""

    model: str
    workload: Workload
    rounds: int
    seconds: int
    connections: Sequence[int]

    def run(self, chosen: Sequence[Contender]) -> Results:
        """Measure every contender in every round; each round starts with the next contender.

        Raises:
            RuntimeError: this machine has one core only, wrk is missing, or a contender fails.
        """
        runs = []
        with open_bench(self.workload) as bench:
            for number in range(self.rounds):
                for contender in rotated(chosen, number):
                    run = self._measure(bench, contender, number)
                    print(progress(run), file=sys.stderr)
                    runs.append(run)
        return Results(machine.describe(), self._method(), runs, self.model)

    def _measure(self, bench: Bench, contender: Contender, number: int) -> Run:
        """Start a contender, check all its answers, and load it with each of its bodies."""
        loads = []
        with bench.started(contender) as server:
            wrong = bench.count_wrong(server, contender)
            for body in contender.bodies:
                for count in self.connections:  # each has batches of other sizes, which a server meets first
                    bench.warm_up(server, body, count)
                    loads.append(bench.load(server, body, count, self.seconds))
            return Run(number, contender.name, server.startup_seconds, pss_bytes(server.pid), wrong, loads)

    def _method(self) -> dict[str, str]:
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            **self.workload.describe(),
            "rounds": f"{self.rounds}, with {self.seconds} s of load for each number of connections",
        }


def rotated(chosen: Sequence[Contender], number: int) -> list[Contender]:
    """Return the contenders in the order of a round: each round starts with the next one."""
    first = number % len(chosen)
    return [*chosen[first:], *chosen[:first]]


def progress(run: Run) -> str:
    """Describe a run in one line."""
    loads = [
        f"{load.body} {load.connections}: {load.rate:.0f}/s p50 {load.p50:.0f} µs p99 {load.p99:.0f} µs"
        for load in run.loads
    ]
    cost = f"{run.startup_seconds:.2f} s to ready, {run.pss_bytes / 1e6:.0f} MB"
    return f"round {run.round + 1}, {run.contender}: {cost}; {', '.join(loads)}"
