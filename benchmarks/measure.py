"""Read what a process tree costs, and how long its start took."""

from __future__ import annotations

import http.client
import subprocess
from pathlib import Path
from time import clock_gettime, perf_counter, sleep

SECONDS_TO_START = 120
SECONDS_TO_SETTLE = 60
PROC = Path("/proc")


def seconds_until_ready(
    process: subprocess.Popen[bytes], port: int, path: str, content: bytes = b""
) -> float:
    """Ask for `path` until it answers 200 with `content` in it, and return the seconds since this call.

    Raises:
        RuntimeError: the process ended, or took too long.
    """
    start = perf_counter()
    while (elapsed := perf_counter() - start) < SECONDS_TO_START:
        if process.poll() is not None:
            raise RuntimeError(f"ended with exit status {process.returncode}")
        if _is_ready(port, path, content):
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
    return _memory(pid, "Pss:")


def rss_bytes(pid: int) -> int:
    """Sum the resident set sizes of a process tree: memory that its processes share counts for each."""
    return _memory(pid, "Rss:")


def cpu_seconds(pid: int) -> float:
    """Sum the processor time, user and system, that a process tree has used."""
    return sum(clock_gettime(_cpu_clock(member)) for member in tree(pid))


def settle(pid: int) -> None:
    """Wait until a process tree is all but idle: some servers compute on for clients that have gone.

    Raises:
        RuntimeError: it is busy for a minute.
    """
    before = cpu_seconds(pid)
    for _ in range(10 * SECONDS_TO_SETTLE):
        sleep(0.1)
        now = cpu_seconds(pid)
        if now - before < 0.02:
            return
        before = now
    raise RuntimeError(f"the server is still busy {SECONDS_TO_SETTLE} s after its last request")


def _cpu_clock(pid: int) -> int:
    """Return a process's own clock of processor time: exact, where /proc counts hundredths of a second.

    That is clock_getcpuclockid(3), which Python does not have.
    """
    per_process_and_scheduled = 2
    return ~pid << 3 | per_process_and_scheduled


def _memory(pid: int, field: str) -> int:
    total = 0
    for member in tree(pid):
        for line in (PROC / str(member) / "smaps_rollup").read_text().splitlines():
            if line.startswith(field):
                total += int(line.split()[1]) << 10
    return total


def _is_ready(port: int, path: str, content: bytes) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status == http.client.OK and content in response.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
