"""Measure contenders in interleaved rounds, one at a time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.bench import Bench, open_bench
from benchmarks.bodies import Digits
from benchmarks.contenders import Contender
from benchmarks.measure import pss_bytes
from benchmarks.results import Results, Run


@dataclass(frozen=True)
class Harness:
    """How to measure: the file that all serve, the images, and the load."""

    weights: Path
    digits: Digits
    rounds: int
    seconds: int
    connections: Sequence[int]

    def run(self, chosen: Sequence[Contender]) -> Results:
        """Measure every contender in every round; each round starts with the next contender.

        Raises:
            RuntimeError: this machine has one core only, wrk is missing, or a contender fails.
        """
        runs = []
        with open_bench(self.weights, self.digits) as bench:
            for number in range(self.rounds):
                for contender in rotated(chosen, number):
                    run = self._measure(bench, contender, number)
                    print(progress(run), file=sys.stderr)
                    runs.append(run)
        return Results(machine.describe(), self._method(bench), runs)

    def _measure(self, bench: Bench, contender: Contender, number: int) -> Run:
        """Start a contender, check all its answers, and load it with each of its bodies."""
        loads = []
        with bench.started(contender) as server:
            wrong = bench.count_wrong(server, contender)
            for body in contender.bodies:
                bench.warm_up(server, body, self.connections[-1])
                loads += [bench.load(server, body, count, self.seconds) for count in self.connections]
            return Run(number, contender.name, server.startup_seconds, pss_bytes(server.pid), wrong, loads)

    def _method(self, bench: Bench) -> dict[str, str]:
        labels = self.digits.labels
        count = len(labels)
        right = sum(one == int(label) for one, label in zip(bench.expected, labels, strict=True))
        sizes = [f"{name} {sum(map(len, bodies)) / count:.0f}" for name, bodies in bench.bodies.items()]
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "weights": f"{self.weights.name}, {right} of these {count} images classified as labelled",
            "bytes per body": ", ".join(sizes),
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
