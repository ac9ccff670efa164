"""A machine set up to measure: one core for the server, another for wrk, bodies and the answers to expect."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bodies import BODIES, Digits
from benchmarks.check import answered_digits, expected_digits
from benchmarks.contenders import Contender, Server, running
from benchmarks.drive import Load, drive, write_bodies
from benchmarks.measure import cpu_seconds

SECONDS_TO_WARM_UP = 1


@dataclass(frozen=True)
class Bench:
    """Where contenders are started, checked and loaded; make one with `open_bench`."""

    weights: Path
    bodies: dict[str, list[bytes]]
    folder: Path
    expected: list[int]
    server_core: int
    client_core: int

    @contextmanager
    def started(self, contender: Contender) -> Iterator[Server]:
        """Run a contender on the server's core."""
        with running(contender, weights=self.weights, cores=[self.server_core]) as server:
            yield server

    def count_wrong(self, server: Server, contender: Contender) -> int:
        """Post every body once; return how many digits differ from what the weights file gives."""
        wrong = 0
        for name in contender.bodies if contender.predicts else ():
            given = answered_digits(server.url, self.bodies[name], BODIES[name].content_type)
            wrong += sum(one != other for one, other in zip(given, self.expected, strict=True))
        return wrong

    def warm_up(self, server: Server, body: str, connections: int) -> None:
        """Put load on a server without counting it."""
        self.load(server, body, connections, SECONDS_TO_WARM_UP)

    def load(self, server: Server, body: str, connections: int, seconds: int) -> Load:
        """Load a server with wrk; the processor time is that of the server's process tree."""
        before = cpu_seconds(server.pid)
        load = drive(
            server.url,
            self.folder / body,
            BODIES[body].content_type,
            connections=connections,
            seconds=seconds,
            cores=[self.client_core],
        )
        return replace(load, cpu_seconds=cpu_seconds(server.pid) - before)


@contextmanager
def open_bench(weights: Path, digits: Digits) -> Iterator[Bench]:
    """Keep this process to the client's core, write the bodies to files, and ask the weights file itself.

    Raises:
        RuntimeError: this machine has one core only.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RuntimeError("this takes two cores: one for the server, one for wrk")
    os.sched_setaffinity(0, cores[-1:])
    try:
        bodies = {name: [body.encode(image) for image in digits.images] for name, body in BODIES.items()}
        with tempfile.TemporaryDirectory() as folder:
            for name, some in bodies.items():
                write_bodies(Path(folder) / name, some)
            expected = expected_digits(weights, digits.images)
            yield Bench(weights, bodies, Path(folder), expected, cores[0], cores[-1])
    finally:
        os.sched_setaffinity(0, cores)
