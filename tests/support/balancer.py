"""A load balancer in front of one server that passes it off as several replicas.

It does what a Kubernetes Service does, a connection at a time in turn, and writes into each answer's
``X-Served-By`` the name of the replica that would have given it: on one machine all have the same host name.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import threading
from collections.abc import Sequence
from types import TracebackType

SERVED_BY = re.compile(rb"(?<=\r\nx-served-by: )[^\r]*")


class Balancer:
    """Use it as ``with Balancer(url, names) as balancer``; ``balancer.url`` is where it listens."""

    def __init__(self, url: str, replicas: Sequence[str]) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._server = host, int(port)
        self._names = itertools.cycle(name.encode() for name in replicas)

    def __enter__(self) -> Balancer:
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # that is how it ends
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                name = next(self._names)
                threading.Thread(target=self._pass_on, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, name), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, name: bytes | None) -> None:
        with contextlib.suppress(OSError):  # either side may hang up first
            while data := source.recv(1 << 16):
                sink.sendall(SERVED_BY.sub(name, data) if name else data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if name:  # the answer's way is done last
            source.close()
            sink.close()
