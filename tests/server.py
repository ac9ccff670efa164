"""A real ``python -m service`` process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import requests

READY_SECONDS = 60


class Server:
    """A service on a free port, its log in a file; another module may start it, to break something in it."""

    def __init__(self, log: Path, settings: Mapping[str, object], module: str = "service") -> None:
        self.log = log
        environment = {**os.environ, "HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json", "WORKERS": "1"}
        environment |= {name: str(value) for name, value in settings.items()}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parent.parent,
            )
        self.url = ""

    def wait_until_ready(self) -> Server:
        """Return once /healthz answers; fail with the log if the process ends instead."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the service ended:\n{self.log.read_text()}"
            self.url = self.url or self._announced_url()
            if self.url and requests.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                return self
            time.sleep(0.02)
        raise AssertionError(f"not ready within {READY_SECONDS} s:\n{self.log.read_text()}")

    def lines(self) -> list[dict[str, object]]:
        """Return the log so far, one object a line."""
        complete = self.log.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in complete]

    def terminate(self, timeout_seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    def kill(self) -> None:
        """End the process, if it still runs."""
        self.process.kill()
        self.process.wait()

    def _announced_url(self) -> str:
        for line in self.lines():
            words = str(line["message"]).split()
            if words[:3] == ["Uvicorn", "running", "on"]:
                return words[3]
        return ""
