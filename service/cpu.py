"""How much processor this process may use: the container's limit, not the node's size."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
MAX_WORKERS, MAX_THREADS = 4, 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How a service uses its CPUs."""

    workers: int  # processes that serve
    threads: int  # that compute a batch, in each worker
    reason: str  # where the number of CPUs is from


def cpu_limit(cgroup_root: Path = CGROUP_ROOT) -> tuple[float, str]:
    """Return the CPUs that this process may keep busy, and where the figure comes from.

    The smallest of the CPU affinity mask and the control group's quota: version 2 (``cpu.max``), else
    version 1 (``cpu.cfs_quota_us`` over ``cpu.cfs_period_us``). See the kernel's
    Documentation/admin-guide/cgroup-v2.rst.
    """
    affinity = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    quota, source = _quota(cgroup_root)
    if quota is not None and quota < affinity:
        return quota, source
    return affinity, "CPU affinity"


def plan(
    limit: float | None = None,
    workers: int | None = None,
    threads: int | None = None,
    cgroup_root: Path = CGROUP_ROOT,
) -> Plan:
    """Return how to use the CPUs: what is given stands, and the rest follows from the limit.

    A worker for each CPU, as each is busy with much that only one thread of a process can do at a time. Where
    there are more CPUs than workers, each worker leaves one to its event loop and computes on the others:
    kernels this small wait for each other longer than they compute once they are cut in many parts.
    """
    source = "CPU_LIMIT"
    if limit is None:
        limit, source = cpu_limit(cgroup_root)
    if workers is None:
        workers = min(max(1, math.floor(limit)), MAX_WORKERS) if sys.platform == "linux" else 1
    if threads is None:
        threads = min(max(1, math.floor(limit / workers) - 1), MAX_THREADS)
    return Plan(workers, threads, f"{source}: {limit:g} CPUs")


def settle(place: int, workers: int) -> None:
    """Keep this worker to a CPU of its own, if there are just as many CPUs as workers.

    Its two threads take turns most of the time; on one CPU they find each other's data in the cache. Where
    there are more CPUs, the kernel knows better which of them are free.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) == workers:
        os.sched_setaffinity(0, {cpus[place]})


def _quota(root: Path) -> tuple[float | None, str]:
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return (None if quota == "max" else int(quota) / int(period)), "cgroup v2 cpu.max"
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        return (None if quota_us <= 0 else quota_us / period_us), "cgroup v1 cpu.cfs_quota_us"
    except (OSError, ValueError):
        return None, ""
