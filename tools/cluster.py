"""One namespace of the current cluster, as the end-to-end run uses it: kubectl, Helm, and waiting."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import helm_python

RELEASE = "rust-ml-api"


class Failed(Exception):
    """A promise that did not hold, as a sentence."""


def expect(holds: bool, sentence: str) -> None:
    """Stop the run unless something holds."""
    if not holds:
        raise Failed(sentence)


class Cluster:
    """One namespace of the current cluster, by kubectl and Helm."""

    def __init__(self, *, namespace: str, context: str | None, timeout_seconds: int) -> None:
        self.namespace = namespace
        self.timeout_seconds = timeout_seconds
        self._kubectl = ["kubectl", *(["--context", context] if context else []), "--namespace", namespace]
        self.helm = helm_python.Config(namespace=namespace, kube_context=context)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl; its error output is part of the failure."""
        done = subprocess.run([*self._kubectl, *arguments], input=text, capture_output=True, text=True)
        expect(done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """Run kubectl get and parse what it prints."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found

    def rollout(self) -> None:
        """Wait until every replica runs the newest pod template and no other pod is left."""
        self.kubectl("rollout", "status", f"deployment/{RELEASE}", f"--timeout={self.timeout_seconds}s")
        self.until(lambda: len(self.pods()) == self.replicas(), "old pods are gone")

    def replicas(self) -> int:
        """How many replicas the Deployment asks for."""
        replicas: int = self.get("deployment", RELEASE)["spec"]["replicas"]
        return replicas

    def pods(self) -> list[dict[str, Any]]:
        """The serving pods, stopping ones too."""
        items: list[dict[str, Any]] = self.get("pods", "--selector", f"app={RELEASE}")["items"]
        return items

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Ask again and again until something holds."""
        end = time.monotonic() + self.timeout_seconds
        while not holds():
            expect(time.monotonic() < end, f"after {self.timeout_seconds} s it is still not so that {what}")
            time.sleep(0.5)

    @contextmanager
    def address(self) -> Iterator[str]:
        """The Service's address on this machine, while the context lasts, through a port-forward."""
        command = [*self._kubectl, "port-forward", f"service/{RELEASE}-service", ":80"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                line = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 3000
                expect("Forwarding from" in line, "kubectl port-forward did not start")
                yield "http://" + line.split()[2]
            finally:
                process.terminate()
