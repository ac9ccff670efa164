"""Several processes that serve one port, where there are several CPUs to use.

Python runs one thread at a time, and the network is the smaller part of what a prediction costs: a second
CPU is of use to a second process only. Each worker is a whole service, with a queue and a model of its own,
forked from a parent that has imported everything, so that PyTorch is in memory once. All accept from one
socket, each its share (``service.listener``), and ``service.peers`` makes their figures one.

The parent serves nobody. It passes signals on, and puts a new worker in the place of one that dies.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from typing import TypeAlias

from service import cpu
from service.board import Board
from service.peers import Peers, bury, is_served

logger = logging.getLogger(__name__)

# Runs one worker: told of its peers and given the socket to listen on, until it is told to end.
Serve: TypeAlias = Callable[[Peers, socket.socket], None]

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Before a dead worker's place is filled again, so that one that can't live costs the others little.
PAUSE_SECONDS = 1.0
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Workers:
    """A parent and its workers, from the start of the first to the end of the last."""

    def __init__(self, count: int, listener: socket.socket, serve: Serve) -> None:
        self._count = count
        self._listener = listener
        self._serve = serve
        self._board = Board(count)
        self._workers: dict[int, ForkProcess] = {}  # by place
        self._vacant = set(range(count))
        self._fill_at = 0.0
        self._ending = False
        self._status = 0

    def run(self) -> int:
        """Serve until a signal ends it; return 0, or the exit status of a worker that failed."""
        # A collection in a worker would write to, and so copy, all that it shares with its parent.
        gc.freeze()
        # Any thread may be the one to get a signal, NumPy's too.
        # Whichever it is writes the number here, for every signal that has a handler.
        received, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        with received, waker:
            while self._workers or not self._ending:
                if not self._ending and time.monotonic() >= self._fill_at:
                    for place in sorted(self._vacant):
                        self._start(place)
                places = {worker.sentinel: place for place, worker in self._workers.items()}
                for ready in connection.wait([received, *places], PAUSE_SECONDS):
                    if isinstance(ready, int):
                        self._mourn(places[ready])
                    else:
                        self._pass_on(received.recv(1)[0])
            signal.set_wakeup_fd(-1)
        return self._status

    def _start(self, place: int) -> None:
        worker = multiprocessing.get_context("fork").Process(
            target=self._work, args=(place,), name=f"worker {place + 1}"
        )
        # ``service.server`` lets signals in, once the worker can act on them.
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        worker.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        self._vacant.remove(place)
        self._workers[place] = worker

    def _work(self, place: int) -> None:
        signal.set_wakeup_fd(-1)
        # A terminal's Ctrl-C reaches the whole group; the parent is the one to pass it on, once.
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # nobody is left behind
        cpu.settle(place, self._count)
        self._serve(Peers(self._board, place), self._listener)

    def _pass_on(self, number: int) -> None:
        self._tell_all(number)
        if number != signal.SIGHUP:
            self._end()

    def _mourn(self, place: int) -> None:
        worker = self._workers.pop(place)
        worker.join()
        exitcode = worker.exitcode or 0
        bury(self._board, place)
        if self._ending:
            self._status = self._status or abs(exitcode)
            return
        self._vacant.add(place)
        self._fill_at = time.monotonic() + PAUSE_SECONDS
        cause = signal.Signals(-exitcode).name if exitcode < 0 else f"exit status {exitcode}"
        if is_served(self._board):
            logger.error("%s ended with %s; another takes its place", worker.name, cause)
        else:
            # Nobody serves who could be disturbed, and what stopped this one would stop the next.
            logger.error("%s ended with %s, and no other serves: giving up", worker.name, cause)
            self._status = abs(exitcode) or 1
            self._tell_all(signal.SIGTERM)
            self._end()

    def _tell_all(self, number: int) -> None:
        for worker in self._workers.values():
            assert worker.pid is not None
            os.kill(worker.pid, number)  # which has not been waited for: the process is this worker's still

    def _end(self) -> None:
        """Leave listening to the workers: the last to stop closes the port."""
        self._ending = True
        self._listener.close()
