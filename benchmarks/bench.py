"""A machine set up to measure: one core for the server, another for wrk, and a workload."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.check import answered_labels
from benchmarks.contenders import Contender, Server, running
from benchmarks.drive import Load, drive, write_bodies
from benchmarks.measure import cpu_seconds, settle
from benchmarks.workload import Workload

SECONDS_TO_WARM_UP = 1


@dataclass(frozen=True)
class Bench:
    """Where contenders are started, checked and loaded; make one with `open_bench`."""

    workload: Workload
    folder: Path
    server_core: int
    client_core: int

    @contextmanager
    def started(self, contender: Contender) -> Iterator[Server]:
        """Run a contender on the server's core."""
        with running(contender, weights=self.workload.weights, cores=[self.server_core]) as server:
            yield server

    def count_wrong(self, server: Server, contender: Contender) -> int:
        """Post every body once; return how many labels differ from the expected ones."""
        wrong = 0
        for name in contender.bodies if contender.predicts else ():
            given = answered_labels(server.url, self.workload.bodies[name])
            wrong += sum(one != other for one, other in zip(given, self.workload.expected, strict=True))
        return wrong

    def warm_up(self, server: Server, body: str, connections: int) -> None:
        """Put load on a server without counting it."""
        self.load(server, body, connections, SECONDS_TO_WARM_UP)

    def load(self, server: Server, body: str, connections: int, seconds: int) -> Load:
        """Load a server with wrk; the processor time is that of the server's process tree.

        The server gets time to become idle after it: else it would go on with requests that wrk has given up
        while the next load is measured.
        """
        before = cpu_seconds(server.pid)
        load = drive(
            server.url,
            self.folder / body,
            self.workload.bodies[body].content_type,
            connections=connections,
            seconds=seconds,
            cores=[self.client_core],
        )
        used = cpu_seconds(server.pid) - before
        settle(server.pid)
        return replace(load, cpu_seconds=used)


@contextmanager
def open_bench(workload: Workload) -> Iterator[Bench]:
    """Keep this process to the client's core, and write the bodies to files.

    Raises:
        RuntimeError: this machine has one core only.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RuntimeError("this takes two cores: one for the server, one for wrk")
    os.sched_setaffinity(0, cores[-1:])
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, some in workload.bodies.items():
                write_bodies(Path(folder) / name, some.contents)
            yield Bench(workload, Path(folder), cores[0], cores[-1])
    finally:
        os.sched_setaffinity(0, cores)
