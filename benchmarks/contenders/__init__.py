"""What is measured: each contender's command, and how it is started and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import seconds_until_ready
from benchmarks.process import on_cores

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_STOP = 15


@dataclass(frozen=True)
class Contender:
    """A server to measure: `python -m module arguments`, started in `folder`.

    Its environment has PORT, HOST and MODEL_PATH, and what `environment` adds.
    """

    name: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    ready: str = "/healthz"
    path: str = "/predict"
    bodies: tuple[str, ...] = ("json",)
    predicts: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT


ALL = (
    Contender("service", "this service", "service", bodies=("json", "octet")),
    Contender("fastapi", "FastAPI + TorchScript, def", "benchmarks.contenders.fastapi_app"),
    Contender(
        "fastapi-async",
        "FastAPI + TorchScript, async def",
        "benchmarks.contenders.fastapi_app",
        path="/predict-async",
    ),
    Contender("litserve", "LitServe, batching", "benchmarks.contenders.litserve_app", ready="/health"),
    Contender("echo", "echo, no model", "benchmarks.contenders.echo", predicts=False),
)


@dataclass(frozen=True)
class Server:
    """A contender that answers: the root of its process tree, where to post, and how long its start took."""

    pid: int
    url: str
    startup_seconds: float


@contextmanager
def running(contender: Contender, *, weights: Path, cores: Sequence[int]) -> Iterator[Server]:
    """Start a contender on the given cores, wait until it is ready, and stop its whole process group after.

    Raises:
        RuntimeError: it ended, or was not ready in time; the message ends with what it printed.
    """
    port = _free_port()
    address = {"HOST": "127.0.0.1", "PORT": str(port), "MODEL_PATH": str(weights.resolve())}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", contender.module, *contender.arguments],
            env={**os.environ, **address, **contender.environment},
            cwd=contender.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=on_cores(cores),
        )
        try:
            try:
                startup = seconds_until_ready(process, port, contender.ready)
            except RuntimeError as error:
                output.seek(0)
                raise RuntimeError(f"{contender.name} {error}:\n{output.read().decode()[-2000:]}") from None
            yield Server(process.pid, f"http://127.0.0.1:{port}{contender.path}", startup)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with SIGTERM, then kill whatever is left of its group."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
