"""What a measured process gets before it starts: its cores, and enough open files."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence


def on_cores(cores: Sequence[int]) -> Callable[[], None]:
    """Return what a new process calls before its program (`preexec_fn` of `subprocess`).

    It also raises the limit on open files as far as this process may: 1,024 connections are more than many a
    default allows.
    """

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    return prepare
