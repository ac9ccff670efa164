"""How much processor this process may use: the container's limit, not the node's size."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
MAX_THREADS = 4


def cpu_limit(cgroup_root: Path = CGROUP_ROOT) -> tuple[float, str]:
    """Return the CPUs that this process may keep busy, and where the figure comes from.

    The smallest of the CPU affinity mask and the control group's quota: version 2 (``cpu.max``), else
    version 1 (``cpu.cfs_quota_us`` over ``cpu.cfs_period_us``). See the kernel's
    Documentation/admin-guide/cgroup-v2.rst.
    """
    affinity = float(len(os.sched_getaffinity(0)))
    quota, source = _quota(cgroup_root)
    if quota is not None and quota < affinity:
        return quota, source
    return affinity, "CPU affinity"


def threads_for(limit: float) -> int:
    """Return how many threads should compute a batch under a CPU limit.

    One CPU is left to the event loop, which does more of the work than the network; and kernels this small
    wait for each other longer than they compute once they are cut in many parts.
    """
    return min(max(1, math.floor(limit) - 1), MAX_THREADS)


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
