"""One namespace of a Kubernetes cluster, driven with kubectl and Helm by the end-to-end run."""

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
    """A check failed; the message says which."""


def expect(condition: bool, message: str) -> None:
    """Raise Failed with this message unless the condition is true."""
    if not condition:
        raise Failed(message)


class Cluster:
    """One namespace, with the release in it."""

    def __init__(self, *, namespace: str, context: str | None, timeout_seconds: int) -> None:
        self.namespace = namespace
        self.timeout_seconds = timeout_seconds
        self._kubectl = ["kubectl", *(["--context", context] if context else []), "--namespace", namespace]
        self.helm = helm_python.Config(namespace=namespace, kube_context=context)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl and return its output; raise Failed with its error output."""
        done = subprocess.run([*self._kubectl, *arguments], input=text, capture_output=True, text=True)
        expect(done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """Run kubectl get and return the parsed object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found

    def rollout(self) -> None:
        """Wait until every replica runs the newest pod template and no other pod is left."""
        self.kubectl("rollout", "status", f"deployment/{RELEASE}", f"--timeout={self.timeout_seconds}s")
        self.wait_until(lambda: len(self.pods()) == self.replicas(), "the old pods are deleted")

    def replicas(self) -> int:
        """Return the number of replicas in the Deployment's spec."""
        replicas: int = self.get("deployment", RELEASE)["spec"]["replicas"]
        return replicas

    def pods(self) -> list[dict[str, Any]]:
        """Return the serving pods, terminating ones included."""
        items: list[dict[str, Any]] = self.get("pods", "--selector", f"app={RELEASE}")["items"]
        return items

    def wait_until(self, condition: Callable[[], bool], description: str) -> None:
        """Poll the condition until it is true; raise Failed after the timeout."""
        end = time.monotonic() + self.timeout_seconds
        while not condition():
            expect(
                time.monotonic() < end,
                f"timed out after {self.timeout_seconds} s waiting until {description}",
            )
            time.sleep(0.5)

    @contextmanager
    def address(self) -> Iterator[str]:
        """Forward a local port to the Service while the context lasts; yields its URL."""
        command = [*self._kubectl, "port-forward", f"service/{RELEASE}-service", ":80"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                line = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 3000
                expect("Forwarding from" in line, "kubectl port-forward did not start")
                yield "http://" + line.split()[2]
            finally:
                process.terminate()
