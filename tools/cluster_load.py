"""Requests in a loop from inside the cluster, while the end-to-end run restarts the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from tools.cluster import Cluster

SCRIPT = Path(__file__).with_name("cluster_load_client.py")
STOP = "/tmp/stop"


def pod(image: str, url: str) -> dict[str, Any]:
    """Return a pod with the service's image that sends requests to this URL in a loop."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "load"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "load",
                    "image": image,
                    "command": ["python", "-c", SCRIPT.read_text(), url, STOP],
                    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


class Load:
    """Send requests while the context lasts; `result` then counts how they ended."""

    result: dict[str, Any]

    def __init__(self, cluster: Cluster, image: str, url: str) -> None:
        self._cluster = cluster
        self._pod = pod(image, url)

    def __enter__(self) -> Self:
        self._cluster.kubectl("apply", "--filename", "-", text=json.dumps(self._pod))
        self._cluster.wait_until(lambda: "started" in self._logs(), "the load pod sends requests")
        return self

    def __exit__(self, *failure: object) -> None:
        self._cluster.kubectl("exec", "load", "--", "touch", STOP)
        self._cluster.wait_until(lambda: "{" in self._logs(), "the load pod reports its result")
        self.result = json.loads(self._logs().splitlines()[-1])
        self._cluster.kubectl("delete", "pod", "load")

    def _logs(self) -> str:
        status = self._cluster.get("pod", "load")["status"]["phase"]
        return self._cluster.kubectl("logs", "load") if status in ("Running", "Succeeded", "Failed") else ""
