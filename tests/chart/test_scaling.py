"""Enabling an autoscaler keeps the replicas that there are, as far as Helm can ask the cluster."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from tests.support.cluster_api import ClusterApi
from tools import helm

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "rust-ml-api"}}
AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "rust-ml-api-hpa"},
}


def cluster(replicas: int | None, *, autoscaler: bool = False) -> ClusterApi:
    """One Deployment or none, and its autoscaler."""
    deployments = [] if replicas is None else [DEPLOYMENT | {"spec": {"replicas": replicas}}]
    return ClusterApi([*deployments, *([AUTOSCALER] if autoscaler else [])])


def rendered_on(cluster: ClusterApi, values: dict[str, Any]) -> dict[str, Any]:
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
    assert rendered_on(cluster(replicas), values)["spec"]["replicas"] == replicas


@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_an_upgrade_keeps_what_the_autoscaler_has_made_of_the_replicas(replicas):
    values = {"autoscaling": {"enabled": True, "minReplicas": 3}}

    assert rendered_on(cluster(replicas, autoscaler=True), values)["spec"]["replicas"] == replicas


def test_a_release_without_pods_stays_so_only_if_its_autoscaler_has_been_paused():
    values = {"autoscaling": {"enabled": True}}

    # With a count of 0, the autoscaler would never start.
    assert "replicas" not in rendered_on(cluster(0), values)["spec"]
    assert rendered_on(cluster(0, autoscaler=True), values)["spec"]["replicas"] == 0


@pytest.mark.parametrize("values", SCALERS)
def test_where_nothing_runs_yet_the_count_is_left_to_the_autoscaler(values):
    assert "replicas" not in rendered_on(cluster(None), values)["spec"]


@pytest.mark.parametrize("values", SCALERS)
def test_what_renders_without_a_cluster_leaves_the_count_to_the_autoscaler(values):
    assert "replicas" not in helm.find(helm.render(values), "Deployment")["spec"]


def test_without_an_autoscaler_the_count_is_that_of_the_values():
    assert rendered_on(cluster(7), {"replicaCount": 3})["spec"]["replicas"] == 3
