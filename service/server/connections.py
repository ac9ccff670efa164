"""A limit on connections, below the process's own limit on file descriptors.

Where descriptors run out, nothing can connect any more, no health check either, and no file can be opened.
So a connection past the limit closes the one that has been idle for the longest. Where none is idle, the
newest one may ask once, and is closed.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Protocol, TypeVar

# For the connections that may ask once, for files, and for the event loop.
RESERVED_DESCRIPTORS = 128


class Connection(Protocol):
    """What the limit needs of a connection."""

    last_request: bool

    def idle_since(self) -> float | None:
        """Return when it began to wait for a request, on the monotonic clock; None where it has one."""

    def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Connection)


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may allow itself."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def make_room(connections: Sequence[C], newest: C) -> None:
    """Close the idlest connection if there are too many, or let the newest one ask once."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if len(connections) <= max(1, allowed - RESERVED_DESCRIPTORS):
        return
    idle = [
        (since, id(one), one)
        for one in connections
        if one is not newest and (since := one.idle_since()) is not None
    ]
    if idle:
        min(idle)[2].close()
    else:
        newest.last_request = True
