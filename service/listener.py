"""The way in: takes connections from a socket that several workers share, each its share of them.

Left to themselves, workers are greedy: whoever is awake takes all that come while the others are being woken,
and keeps them for as long as their clients do, while the others idle. Here one that has more connections
than another gives it a moment to take the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Callable

logger = logging.getLogger(__name__)

BACKLOG = 2048
STEP_BACK_SECONDS = 0.001
# After an error, most often for want of file descriptors: those who knock wait in the kernel meanwhile.
RECOVER_SECONDS = 0.1
# How often to say so.
COMPLAIN_SECONDS = 10.0
# In which a client that has been let in by the kernel says so.
ROUND_TRIP_SECONDS = 0.1

SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
# In the kernel's classic BPF (Documentation/networking/filter.rst), for what begins with the TCP header: drop
# those who ask for a connection (SYN without ACK), let everything else pass.
NO_NEWCOMERS = struct.pack(
    "=HBBIHBBIHBBIHBBIHBBI",
    *(0x30, 0, 0, 13),  # load the byte of flags
    *(0x54, 0, 0, 0x12),  # of which SYN and ACK count
    *(0x15, 0, 1, 0x02),  # SYN alone: go on, else skip one
    *(0x06, 0, 0, 0),  # drop
    *(0x06, 0, 0, 0xFFFFFFFF),  # keep all of it
)


class Listener:
    """Accepts connections from ``open`` to ``close``, when it is this worker's turn."""

    def __init__(
        self, shared: socket.socket, protocol: Callable[[], asyncio.Protocol], is_our_turn: Callable[[], bool]
    ) -> None:
        self._socket = shared
        self._protocol = protocol
        self._is_our_turn = is_our_turn
        self._loop = asyncio.get_running_loop()
        self._stepped_back = False
        self._quiet_until = 0.0
        self._pause: asyncio.TimerHandle | None = None
        self._greetings: set[asyncio.Task[object]] = set()

    def open(self) -> None:
        """Begin to take connections."""
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)
        self._listen()

    async def close(self, *, for_good: bool) -> None:
        """Leave the socket to the others; ``for_good``: there are none, and nobody may be left behind.

        Whoever has been let in by the kernel when a socket is closed meets a reset. So newcomers are turned
        away first, those who are in are taken, and only then it is closed.
        """
        if for_good:
            self._turn_newcomers_away()
            await asyncio.sleep(ROUND_TRIP_SECONDS)
        self._loop.remove_reader(self._socket)
        if self._pause is not None:
            self._pause.cancel()
        if for_good:
            with contextlib.suppress(OSError):  # no descriptors are left: nothing more can be done for them
                while self._accept():
                    pass
        self._socket.close()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._take_one)

    def _take_one(self) -> None:
        if not self._stepped_back and not self._is_our_turn():
            self._stepped_back = True  # once: whoever has not come by then is busy, or hangs
            self._step_back(STEP_BACK_SECONDS)
            return
        self._stepped_back = False
        try:
            self._accept()
        except OSError as error:
            if self._loop.time() >= self._quiet_until:
                logger.error("cannot accept a connection: %s", error)
                self._quiet_until = self._loop.time() + COMPLAIN_SECONDS
            self._step_back(RECOVER_SECONDS)

    def _step_back(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(seconds, self._listen)

    def _accept(self) -> bool:
        """Take the next connection; whether there was one."""
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        greeting = self._loop.create_task(self._greet(connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)
        return True

    async def _greet(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has gone already
            await self._loop.connect_accepted_socket(self._protocol, connection)

    def _turn_newcomers_away(self) -> None:
        if sys.platform != "linux":
            return
        program = ctypes.create_string_buffer(NO_NEWCOMERS)
        count = len(NO_NEWCOMERS) // 8
        with contextlib.suppress(OSError):  # a kernel without filters: those who come in the meantime lose
            self._socket.setsockopt(
                socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", count, ctypes.addressof(program))
            )
