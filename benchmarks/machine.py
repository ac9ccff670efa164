"""Describe the machine and the versions that a benchmark ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "torchvision", "uvicorn", "uvloop", "httptools", "starlette", "fastapi", "pydantic"),
    *("litserve", "mosec", "bentoml", "torchserve"),
)


def describe() -> dict[str, str]:
    """Say what matters about this machine, in the order of the report."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(filter(None, map(_package, PACKAGES))),
        "load generator": _wrk(),
    }


def _package(name: str) -> str:
    """Return a package's name and version; empty if it is not installed."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # only a run of all contenders needs all of them
        return ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _wrk() -> str:
    printed = subprocess.run(["wrk", "--version"], capture_output=True, text=True).stdout
    return " ".join(printed.split()[:2])
