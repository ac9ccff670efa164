"""What is measured: each contender's command, and how it is started and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import seconds_until_ready, tree
from benchmarks.process import on_cores

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_STOP = 15


@dataclass(frozen=True)
class Contender:
    """A server to measure: `python -m module arguments`, started in `folder`.

    Its environment has PORT, HOST and MODEL_PATH, and what `environment` adds. It is ready when `ready`
    answers 200 with `ready_content` in it.
    """

    name: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    ready: str = "/healthz"
    ready_content: bytes = b""
    path: str = "/predict"
    bodies: tuple[str, ...] = ("json",)
    predicts: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT


DIGITS = (
    Contender("service", "this service", "service", bodies=("json", "octet")),
    Contender("fastapi", "FastAPI + TorchScript, def", "benchmarks.contenders.fastapi_app"),
    Contender(
        "fastapi-async",
        "FastAPI + TorchScript, async def",
        "benchmarks.contenders.fastapi_app",
        path="/predict-async",
    ),
    Contender("litserve", "LitServe, batching", "benchmarks.contenders.litserve_app", ready="/health"),
    Contender("mosec", "mosec, batching", "benchmarks.contenders.mosec_app", ready="/", path="/inference"),
    Contender("echo", "echo, no model", "benchmarks.contenders.echo", predicts=False),
)
PHOTOS = (
    Contender("service", "this service", "service", bodies=("jpeg",)),
    Contender(
        "torchserve",
        "TorchServe, image_classifier, batching",
        "benchmarks.contenders.torchserve_app",
        ready="/models/resnet18",
        ready_content=b'"READY"',
        path="/predictions/resnet18",
        bodies=("jpeg",),
    ),
    Contender(
        "litserve",
        "LitServe, batching",
        "benchmarks.contenders.litserve_photos",
        ready="/health",
        bodies=("form",),
    ),
    Contender(
        "bentoml",
        "BentoML, batching",
        "benchmarks.contenders.bentoml_photos",
        ready="/readyz",
        bodies=("form",),
    ),
    Contender(
        "mosec",
        "mosec, batching",
        "benchmarks.contenders.mosec_photos",
        ready="/",
        path="/inference",
        bodies=("jpeg",),
    ),
)
BY_MODEL = {"mnist": DIGITS, "resnet18": PHOTOS}


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
                startup = seconds_until_ready(process, port, contender.ready, contender.ready_content)
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
    """End a process with SIGTERM, then kill whatever is left of its tree and its group."""
    members = tree(process.pid) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for member in members:  # BentoML starts its workers in groups of their own
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
