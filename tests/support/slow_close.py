"""The service on a busy machine: ``python -m tests.support.slow_close``.

It gets no time between its look at an empty queue of connections and its next step.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from service.__main__ import main

accept = socket.socket.accept


def slow_accept(listener: socket.socket) -> tuple[socket.socket, Any]:
    """Accept a connection; take a tenth of a second to say that there is none."""
    try:
        return accept(listener)
    except BlockingIOError:
        time.sleep(0.1)
        raise


if __name__ == "__main__":
    socket.socket.accept = slow_accept  # type: ignore[method-assign]
    main()
