"""How much processor this process may use: the container's limit, not the node's size."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
MAX_THREADS = 4


def cpu_limit(given: float | None = None, cgroup_root: Path = CGROUP_ROOT) -> tuple[float, str]:
    """Return the CPUs that this process may keep busy, and where the figure comes from.

    What is given stands. Otherwise it is the smaller of the CPU affinity mask and the control group's quota:
    version 2 (``cpu.max``), else version 1 (``cpu.cfs_quota_us`` over ``cpu.cfs_period_us``). See the
    kernel's Documentation/admin-guide/cgroup-v2.rst.
    """
    if given is not None:
        return given, f"CPU_LIMIT: {given:g} CPUs"
    affinity = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    quota, source = _quota(cgroup_root)
    if quota is not None and quota < affinity:
        return quota, f"{source}: {quota:g} CPUs"
    return affinity, f"CPU affinity: {affinity:g} CPUs"


def whole_cpus(limit: float) -> int:
    """Return how many threads can compute at the same time: one at least."""
    return max(1, math.floor(limit))


def plan_threads(limit: float) -> int:
    """Return how many threads compute a batch of a small model.

    One CPU is left to the event loop, and at most four threads compute: kernels this small wait for each
    other longer than they compute once they are cut in many parts.
    """
    return min(max(1, whole_cpus(limit) - 1), MAX_THREADS)


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
