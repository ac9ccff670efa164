"""Enabling an autoscaler keeps the replicas that there are, as far as Helm can ask the cluster."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import helm_python
import pytest

from tools import helm

RESOURCES = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
            }
            for group, version in (("apps", "v1"), ("autoscaling", "v2"))
        ],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis/apps/v1": {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "apps/v1",
        "resources": [
            {
                "name": "deployments",
                "singularName": "deployment",
                "namespaced": True,
                "kind": "Deployment",
                "verbs": ["get", "list"],
            }
        ],
    },
    "/apis/autoscaling/v2": {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "autoscaling/v2",
        "resources": [
            {
                "name": "horizontalpodautoscalers",
                "singularName": "horizontalpodautoscaler",
                "namespaced": True,
                "kind": "HorizontalPodAutoscaler",
                "verbs": ["get", "list"],
            }
        ],
    },
}


class Cluster:
    """The API of a cluster as Helm's ``lookup`` asks it: one Deployment or none, and its autoscaler."""

    def __init__(self, replicas: int | None, *, autoscaler: bool = False) -> None:
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "rust-ml-api", "namespace": "default"},
            "spec": {"replicas": replicas},
        }
        answers: dict[str, Any] = dict(RESOURCES)
        if replicas is not None:
            answers["/apis/apps/v1/namespaces/default/deployments/rust-ml-api"] = deployment
        if autoscaler:
            path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/rust-ml-api-hpa"
            answers[path] = {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "rust-ml-api-hpa", "namespace": "default"},
            }

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


def rendered_on(cluster: Cluster, values: dict[str, Any]) -> dict[str, Any]:
    """Return the Deployment that an installation on this cluster would have."""
    with cluster as address, helm_python.Chart.load(helm.CHART) as chart:
        config = helm_python.Config(kube_apiserver=address, namespace="default")
        files = config.render(chart, values, name="rust-ml-api", namespace="default")
    [deployment] = helm.parse(files["rust-ml-api/templates/deployment.yaml"])
    return deployment


SCALERS = [
    pytest.param({"autoscaling": {"enabled": True}}, id="autoscaler"),
    pytest.param({"keda": {"enabled": True}}, id="KEDA"),
]


@pytest.mark.parametrize("values", SCALERS)
@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_an_autoscaler_takes_over_the_replicas_that_there_are(values, replicas):
    assert rendered_on(Cluster(replicas), values)["spec"]["replicas"] == replicas


@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_an_upgrade_keeps_what_the_autoscaler_has_made_of_the_replicas(replicas):
    values = {"autoscaling": {"enabled": True, "minReplicas": 3}}

    assert rendered_on(Cluster(replicas, autoscaler=True), values)["spec"]["replicas"] == replicas


def test_a_release_without_pods_stays_so_only_if_its_autoscaler_has_been_paused():
    values = {"autoscaling": {"enabled": True}}

    # With a count of 0, the autoscaler would never start.
    assert "replicas" not in rendered_on(Cluster(0), values)["spec"]
    assert rendered_on(Cluster(0, autoscaler=True), values)["spec"]["replicas"] == 0


@pytest.mark.parametrize("values", SCALERS)
def test_where_nothing_runs_yet_the_count_is_left_to_the_autoscaler(values):
    assert "replicas" not in rendered_on(Cluster(None), values)["spec"]


@pytest.mark.parametrize("values", SCALERS)
def test_what_renders_without_a_cluster_leaves_the_count_to_the_autoscaler(values):
    assert "replicas" not in helm.find(helm.render(values), "Deployment")["spec"]


def test_without_an_autoscaler_the_count_is_that_of_the_values():
    assert rendered_on(Cluster(7), {"replicaCount": 3})["spec"]["replicas"] == 3
