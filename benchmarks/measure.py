"""Read what a process tree costs from /proc, and how long its start took."""

from __future__ import annotations

import http.client
import os
import subprocess
from pathlib import Path
from time import perf_counter, sleep

SECONDS_TO_START = 120
PROC = Path("/proc")


def seconds_until_ready(process: subprocess.Popen[bytes], port: int, path: str) -> float:
    """Ask for `path` until it answers 200, and return the seconds since this call.

    Raises:
        RuntimeError: the process ended, or took too long.
    """
    start = perf_counter()
    while (elapsed := perf_counter() - start) < SECONDS_TO_START:
        if process.poll() is not None:
            raise RuntimeError(f"ended with exit status {process.returncode}")
        if _status(port, path) == http.client.OK:
            return perf_counter() - start
        sleep(0.002)
    raise RuntimeError(f"did not answer 200 at {path} in {elapsed:.0f} s")


def tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in (PROC / str(parent) / "task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def pss_bytes(pid: int) -> int:
    """Sum the proportional set sizes of a process tree: memory shared with others counts in part."""
    total = 0
    for member in tree(pid):
        for line in (PROC / str(member) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


def cpu_seconds(pid: int) -> float:
    """Sum the processor time, user and system, that a process tree has used."""
    ticks = 0
    for member in tree(pid):
        fields = (PROC / str(member) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
