"""The load of the end-to-end run, without a cluster: it counts every request and every failure."""

from __future__ import annotations

import json
import subprocess
import sys

import kubernetes_validate

import service
from tools import cluster_load, helm


def start(url, stop):
    """Start the client as its pod does, and wait until it sends requests."""
    command = [sys.executable, str(cluster_load.SCRIPT), url, str(stop)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    return process


def result(process, stop):
    stop.touch()
    said, _ = process.communicate(timeout=60)
    return json.loads(said)


def test_load_counts_the_answered_requests(live_server, tmp_path):
    process = start(live_server.url, tmp_path / "stop")

    found = result(process, tmp_path / "stop")

    assert found["sent"] >= 8
    assert (found["failed"], found["errors"], found["pods"]) == (0, {}, 1)


def test_load_counts_every_failure(free_tcp_port, tmp_path):
    process = start(f"http://127.0.0.1:{free_tcp_port}", tmp_path / "stop")

    found = result(process, tmp_path / "stop")

    assert found["failed"] == found["sent"] >= 8
    assert all("Connection refused" in error for error in found["errors"])


def test_the_load_pod_meets_the_restricted_standard():
    pod = cluster_load.pod(f"rust-ml-api:{service.__version__}", "http://rust-ml-api-service")

    kubernetes_validate.validate(pod, helm.NEWEST, strict=True)
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    [container] = pod["spec"]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
