"""The API of a cluster as Helm's ``lookup`` asks it, over HTTP, with the objects that a test says."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
# What Helm may ask for, in the order of group versions.
KINDS = {
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PersistentVolumeClaim": "v1",
}


def _path(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def _discovery() -> dict[str, Any]:
    """Which kinds the cluster has."""
    kinds = defaultdict(list)
    for kind, group_version in KINDS.items():
        names = {"name": f"{kind.lower()}s", "singularName": kind.lower()}
        kinds[group_version].append({**names, "namespaced": True, "kind": kind, "verbs": ["get", "list"]})
    groups = [each.split("/") for each in kinds if "/" in each]
    lists = {
        _path(each): {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": each,
            "resources": resources,
        }
        for each, resources in kinds.items()
    }
    versions = {
        group: {"groupVersion": f"{group}/{version}", "version": version} for group, version in groups
    }
    return {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": group, "versions": [version], "preferredVersion": version}
                for group, version in versions.items()
            ],
        },
        **lists,
    }


class ClusterApi:
    """A server that knows these objects, in the namespace default; entering gives its address."""

    def __init__(self, objects: Iterable[dict[str, Any]]) -> None:
        answers = _discovery()
        for each in objects:
            folder = f"{_path(each['apiVersion'])}/namespaces/default/{each['kind'].lower()}s"
            answers[f"{folder}/{each['metadata']['name']}"] = each

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path.partition("?")[0])
                missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
                body = json.dumps(found if found is not None else missing | {"code": 404}).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
