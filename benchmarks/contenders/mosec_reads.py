"""Keep mosec's worker alive where a batch is larger than the buffer of a socket.

mosec 0.9.8 reads each number before a task with one `recv`, and takes fewer bytes than it asked for as all
of them. Once a number is split (some 200 kB of one batch fill the buffer), its worker waits for the rest of a
task that does not exist, and no request is answered any more.
"""

from __future__ import annotations

import socket
from typing import Any

from mosec.protocol import Protocol


class WholeReads(socket.socket):
    """A socket that reads as many bytes as it is asked for, unless the other side has closed it."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read until there are `size` bytes."""
        read = super().recv(size, flags)
        while read and len(read) < size and (more := super().recv(size - len(read), flags)):
            read += more
        return read


def read_whole_numbers() -> None:
    """Give mosec's protocol such a socket in this process."""
    init = Protocol.__init__

    def init_with_whole_reads(self: Protocol, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        timeout = self.socket.gettimeout()
        self.socket = WholeReads(fileno=self.socket.detach())
        self.socket.settimeout(timeout)

    Protocol.__init__ = init_with_whole_reads
