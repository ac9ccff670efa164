"""HAProxy before two replicas: what a Service does, with its readiness checks."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port
from tests.support.wait import until

CONFIGURATION = """\
global
    log stdout format raw daemon
defaults
    mode {mode}
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout check 5s
    retries 0
    log global
    {log}
listen service
    bind 127.0.0.1:{port}
    option httpchk GET /healthz
    http-check expect status 200
    default-server check inter 100ms fall 2 rise 1
"""


class HAProxy:
    """Use it as ``with HAProxy(ports, folder) as balancer``; ``balancer.address`` is where it listens.

    It tries nothing twice: what a replica drops, the client misses.
    """

    def __init__(self, ports: Sequence[int], folder: Path, *, mode: str = "http") -> None:
        self._port = free_port()
        lines = CONFIGURATION.format(port=self._port, mode=mode, log=f"option {mode}log")
        lines += "".join(f"    server replica{n} 127.0.0.1:{replica}\n" for n, replica in enumerate(ports))
        self._file = folder / "haproxy.cfg"
        self._file.write_text(lines)
        self.log = folder / "haproxy.log"

    def __enter__(self) -> HAProxy:
        """Start, and wait until it listens."""
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert program, "the tests need HAProxy: apt-get install haproxy"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "-db", "-f", str(self._file)], stdout=output, stderr=subprocess.STDOUT
            )
        until(self._listens, "HAProxy listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def checks_passed(self) -> int:
        """How often it has taken a replica in that had been out."""
        return self.log.read_text().count("Layer7 check passed")

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port."""
        return "127.0.0.1", self._port

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(self.address, timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True
