"""Measure contenders in interleaved rounds, each alone on its cores."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.bodies import BODIES, Body, Digits
from benchmarks.check import answered_digits, expected_digits
from benchmarks.contenders import Contender, Server, running
from benchmarks.drive import Load, drive, write_bodies
from benchmarks.measure import cpu_seconds, pss_bytes
from benchmarks.results import Results, Run

SECONDS_TO_WARM_UP = 1


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
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise RuntimeError("this takes two cores: one for the server, one for wrk")
        os.sched_setaffinity(0, cores[-1:])
        try:
            expected = expected_digits(self.weights, self.digits.images)
            runs = []
            with tempfile.TemporaryDirectory() as folder:
                for name, body in BODIES.items():
                    write_bodies(Path(folder) / name, self._bodies(body))
                for number in range(self.rounds):
                    first = number % len(chosen)
                    for contender in [*chosen[first:], *chosen[:first]]:
                        run = self._measure(contender, number, expected, Path(folder), cores)
                        print(_progress(run), file=sys.stderr)
                        runs.append(run)
        finally:
            os.sched_setaffinity(0, cores)
        return Results(machine.describe(), self._method(expected), runs)

    def _measure(
        self, contender: Contender, number: int, expected: list[int], folder: Path, cores: list[int]
    ) -> Run:
        """Start a contender, check all its answers, and load it.

        The server gets the first cores and wrk the last one. Where that is one core too few they share: on
        a machine of two cores the two-core run pays for wrk, too, and shows less than the server could do.
        """
        own = cores[: contender.cores]
        free = [core for core in cores if core not in own]
        counts = self.connections if contender.cores == 1 else self.connections[-1:]
        wrong, loads = 0, []
        with running(contender, weights=self.weights, cores=own) as server:
            for name in contender.bodies:
                if contender.predicts:
                    given = answered_digits(server.url, self._bodies(BODIES[name]), BODIES[name].content_type)
                    wrong += sum(one != other for one, other in zip(given, expected, strict=True))
                self._load(server, folder / name, counts[-1], SECONDS_TO_WARM_UP, free[-1:] or own)
                loads += [
                    self._load(server, folder / name, count, self.seconds, free[-1:] or own)
                    for count in counts
                ]
            return Run(number, contender.name, server.startup_seconds, pss_bytes(server.pid), wrong, loads)

    def _load(self, server: Server, folder: Path, count: int, seconds: int, cores: list[int]) -> Load:
        content_type = BODIES[folder.name].content_type
        before = cpu_seconds(server.pid)
        load = drive(server.url, folder, content_type, connections=count, seconds=seconds, cores=cores)
        return replace(load, cpu_seconds=cpu_seconds(server.pid) - before)

    def _bodies(self, body: Body) -> list[bytes]:
        return [body.encode(image) for image in self.digits.images]

    def _method(self, expected: list[int]) -> dict[str, str]:
        count = len(self.digits.labels)
        right = sum(one == int(label) for one, label in zip(expected, self.digits.labels, strict=True))
        sizes = [f"{name} {sum(map(len, self._bodies(body))) / count:.0f}" for name, body in BODIES.items()]
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "weights": f"{self.weights.name}, {right} of these {count} images classified as labelled",
            "bytes per body": ", ".join(sizes),
            "rounds": f"{self.rounds}, with {self.seconds} s of load for each number of connections",
        }


def _progress(run: Run) -> str:
    loads = [
        f"{load.body} {load.connections}: {load.rate:.0f}/s p50 {load.p50:.0f} µs p99 {load.p99:.0f} µs"
        for load in run.loads
    ]
    cost = f"{run.startup_seconds:.2f} s to ready, {run.pss_bytes / 1e6:.0f} MB"
    return f"round {run.round + 1}, {run.contender}: {cost}; {', '.join(loads)}"
