"""What the tests share: real digits, the real model, and real servers on free ports."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.inference.batching import batch_sizes
from service.inference.model import Model, load_model
from service.inference.torchscript import configure_torch
from service.settings import BUNDLED_MODEL, Settings
from tests.support.paths import DATA, ROOT
from tests.support.ports import free_port
from tests.support.server import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that `make test` would never run."""
    for item in items:
        if item.get_closest_marker("alone") and not item.nodeid.startswith("tests/server/"):
            raise pytest.UsageError(f"{item.nodeid} is marked `alone`: these have to be in tests/server")


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
    return load_model(BUNDLED_MODEL, batch_sizes=batch_sizes(32))


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a service with the settings it is given, and waits until it is ready.

    Its other arguments are those of ``Server``.
    """
    servers: list[Server] = []

    def start(
        *command: str,
        log: Path | None = None,
        folder: Path = ROOT,
        fresh: bool = False,
        **settings: object,
    ) -> Server:
        log = log or tmp_path / f"server-{len(servers)}.log"
        servers.append(Server(log, settings, *command, folder=folder, fresh=fresh))
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
def connect(live_server: Server) -> Iterator[Callable[[], socket.socket]]:
    """Return a function that opens a connection for raw bytes to the live server; the end closes it."""
    with ExitStack() as connections:
        yield lambda: connections.enter_context(live_server.connect())


@pytest.fixture
def free_tcp_port() -> int:
    """A port of the loopback address that nobody listens on."""
    return free_port()


def pytest_configure() -> None:
    """Keep the environment's own settings out of the tests."""
    for name in Settings.__dataclass_fields__:
        os.environ.pop(name.upper(), None)
