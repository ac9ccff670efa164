"""Put load on a server with wrk, cycling through the bodies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import on_cores

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """What wrk measured at one number of connections; latencies in microseconds.

    `requests` counts every answer, whatever its status; `refused` those with another status than 2xx and 3xx;
    `errors` these and everything else that failed.
    """

    body: str
    connections: int
    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int
    cpu_seconds: float = 0.0
    refused: int = 0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def served_rate(self) -> float:
        """Requests per second that were not refused."""
        return (self.requests - self.refused) / self.seconds


def write_bodies(folder: Path, bodies: Sequence[bytes]) -> None:
    """Lay out bodies as the wrk script reads them: one file each, numbered from 1."""
    folder.mkdir()
    for number, body in enumerate(bodies, start=1):
        (folder / str(number)).write_bytes(body)


def drive(
    url: str, folder: Path, content_type: str, *, connections: int, seconds: float, cores: Sequence[int]
) -> Load:
    """Run wrk, one thread on the given cores, against `url`; the load is named after the folder.

    Raises:
        RuntimeError: wrk is not installed, or failed.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), url, "--", str(folder), content_type]
    try:
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=on_cores(cores))
    except FileNotFoundError:
        raise RuntimeError("wrk is not installed; try `apt-get install wrk`") from None
    if done.returncode != 0:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    measured = json.loads(done.stdout.splitlines()[-1])
    return Load(body=folder.name, connections=connections, **measured)
