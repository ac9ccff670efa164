"""HAProxy before two replicas: what a Service does, with its readiness checks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import requests

SECONDS_TO_START = 30
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
    """Use it as ``with HAProxy(ports, folder) as balancer``; ``balancer.url`` is where it listens.

    It tries nothing twice: what a replica drops, the client misses.
    """

    def __init__(self, ports: Sequence[int], folder: Path, *, mode: str = "http") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        log = f"option {mode}log"
        lines = CONFIGURATION.format(port=port, mode=mode, log=log)
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
        address = urlsplit(self.url)
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text()
            try:
                requests.get(f"http://{address.netloc}/healthz", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.01)
            else:
                return self
        raise AssertionError(f"HAProxy does not answer:\n{self.log.read_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
