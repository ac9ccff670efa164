"""What the tests share: real digits, the real model, and real servers on free ports."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.batcher import batch_sizes
from service.model import Model, configure_torch, load_model
from service.settings import BUNDLED_MODEL
from tests.server import Server

DATA = Path(__file__).with_name("data")
BATCH_SIZES = batch_sizes(32)


def _read_idx(name: str, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(
        gzip.decompress((DATA / "MNIST" / "raw" / name).read_bytes()), np.uint8, offset=header
    )


@pytest.fixture(scope="session")
def digits() -> NDArray[np.uint8]:
    """Real test images of MNIST, shape (200, 28, 28)."""
    return _read_idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)


@pytest.fixture(scope="session")
def labels() -> NDArray[np.uint8]:
    """What the images show, shape (200,)."""
    return _read_idx("t10k-labels-idx1-ubyte.gz", 8)


@pytest.fixture(scope="session")
def model() -> Model:
    """The bundled model, for batches of up to 32."""
    configure_torch(1)
    return load_model(BUNDLED_MODEL, batch_sizes=BATCH_SIZES)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a service with the settings it is given, and waits until it is ready."""
    servers: list[Server] = []

    def start(**settings: object) -> Server:
        servers.append(Server(tmp_path / f"server-{len(servers)}.log", settings))
        return servers[-1].wait_until_ready()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service with its default settings, for every test that leaves it as it was."""
    server = Server(tmp_path_factory.mktemp("live") / "server.log", {})
    yield server.wait_until_ready()
    server.kill()


@pytest.fixture
def free_tcp_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def pytest_configure() -> None:
    """Keep the environment's own settings out of the tests."""
    for name in ("HOST", "PORT", "MODEL_PATH", "MODEL_SHA256"):
        os.environ.pop(name, None)
