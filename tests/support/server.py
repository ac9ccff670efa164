"""A real ``python -m service`` process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from tests.support.paths import ROOT
from tests.support.preloaded import PreloadedProcess
from tests.support.wait import until

READY_SECONDS = 60


class Server:
    """A service on a free port unless PORT is set, its log in a file.

    Another ``command``, a module and its arguments, may start it with something broken. A ``fresh`` one is
    started by its command, which it has to be where the settings have variables that Python or the dynamic
    linker read.
    """

    def __init__(
        self,
        log: Path,
        settings: Mapping[str, object],
        *command: str,
        folder: Path = ROOT,
        fresh: bool = False,
    ) -> None:
        self.log = log
        command = command or ("service",)
        environment = {**os.environ, "HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json"}
        environment |= {name: str(value) for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | PreloadedProcess
        if fresh:
            with log.open("wb") as output:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", *command],
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                )
        else:
            self.process = PreloadedProcess(command, environment, folder, log)
        port = environment["PORT"]
        self.url = f"http://127.0.0.1:{port}" if port != "0" else ""

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def wait_until_ready(self) -> Server:
        """Return once /healthz answers; fail with the log if the process ends instead."""
        try:
            until(self._is_ready, "the service is ready", seconds=READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{self.log_text()}") from None
        return self

    def connect(self, timeout_seconds: float = 30) -> socket.socket:
        """Open a connection that speaks raw bytes."""
        return socket.create_connection(self.address, timeout=timeout_seconds)

    def health(self) -> int:
        """The status of /healthz."""
        return requests.get(f"{self.url}/healthz", timeout=5).status_code

    def log_text(self) -> str:
        """The log so far; nothing if it is not kept."""
        return self.log.read_text() if self.log.is_file() else ""

    def lines(self) -> list[dict[str, object]]:
        """The log so far, one object a line."""
        complete = self.log_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in complete]

    def messages(self, level: str, start: str = "", *, count: int = 1) -> list[str]:
        """The messages of a level that start like this, once there are so many of them.

        A thread writes the log: a line may be there a moment after what it tells of.
        """

        def found() -> list[str]:
            lines = [str(line["message"]) for line in self.lines() if line["level"] == level]
            return [message for message in lines if message.startswith(start)]

        until(lambda: len(found()) >= count, f"{count} lines of {level} that begin with {start!r}")
        return found()

    def terminate(self, timeout_seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    def kill(self) -> None:
        """End the process, if it still runs."""
        self.process.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "the service ended"
        self.url = self.url or self._announced_url()
        try:
            return bool(self.url) and self.health() == 200
        except requests.ConnectionError:  # it is not listening yet
            return False

    def _announced_url(self) -> str:
        for line in self.lines():
            words = str(line["message"]).split()
            if words[:2] == ["listening", "on"]:
                return words[2]
        return ""
