"""What one node's agent does before it meets the others; test_nodes.py has two that train."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from torch.distributed import run

from training import TrainingError
from training.elastic import launch, wait_for_host
from training.elastic import main as agent


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command leaves its handler and a variable in the process; this one goes on."""
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def options(endpoint: str, join_timeout: int = 0) -> list[str]:
    """The options for a rendezvous of two nodes at the endpoint."""
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", "test"]
    return ["--nnodes", "2", *rendezvous, "--rdzv-conf", f"join_timeout={join_timeout}", "-m", "training"]


def test_another_program_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"this starts `-m training` alone, not train\.py"):
        launch(["--nnodes", "2", "train.py"])


def test_a_node_goes_on_as_soon_as_the_first_one_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config, _, _ = run.config_from_args(
            run.parse_args(options(f"127.0.0.1:{listening.getsockname()[1]}"))
        )

        wait_for_host(config)

        connection, _ = listening.accept()
        connection.close()


def test_a_node_says_for_whom_it_has_waited_in_vain(
    free_tcp_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")

    with pytest.raises(SystemExit) as ended:
        agent(options(f"127.0.0.1:{free_tcp_port}"))

    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"training: nobody listens at 127.0.0.1:{free_tcp_port} for 0 s ([Errno 111] Connection refused): "
        "the node with index 0 did not start, or a network policy is in the way\n"
    )


def test_the_first_node_says_that_no_other_came(
    free_tcp_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")

    with pytest.raises(SystemExit) as ended:
        agent(options(f"127.0.0.1:{free_tcp_port}", join_timeout=1))

    assert ended.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        f"training: the nodes do not meet at 127.0.0.1:{free_tcp_port}, or lost each other:"
    )
    assert said.endswith("there must be 2, and each must reach the others on every port")
