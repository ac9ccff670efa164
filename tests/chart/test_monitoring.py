"""Dashboard, alerts and scaling queries use only metrics that a running service exports."""

from __future__ import annotations

import json
import re

import pytest
import requests

from service.api.open_inference import INFER_PATHS
from service.api.predict import PATH
from service.api.torchserve import PREDICTION_PATHS
from service.metrics import Metrics
from tools import helm

# Written by Prometheus's own exporters, not by the service.
FROM_ELSEWHERE = {"kube_deployment_status_replicas_ready", "kube_deployment_spec_replicas"}
# With the ServiceMonitor of the Prometheus operator.
ADDED_BY_PROMETHEUS = {"namespace", "job", "service", "endpoint", "container", "pod", "instance"}
WORDS = {"by", "or", "rate", "sum", "count", "increase", "histogram_quantile", "vector", "label_values"}
WORDS |= {"and", "abs", "scalar"}


@pytest.fixture(scope="module")
def objects():
    return helm.render(helm.read_values(helm.CHART / "ci" / "monitoring-values.yaml"), namespace="vision")


def metric_names(expression):
    """Return the metrics in a PromQL expression: no strings, matchers, durations or functions."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without) \([^)]*\)", " ", bare)
    return set(re.findall(r"\b[a-z_]{2,}\b", bare)) - WORDS


def exported(url):
    """Return metric name → labels of its samples, for everything that the service exports."""
    requests.post(f"{url}/predict", json={"image": [0.0] * 784}, timeout=10)
    text = requests.get(f"{url}/metrics", timeout=10).text
    # A counter with labels has a type but no samples until it is first incremented.
    found = {name: set() for name in re.findall(r"(?m)^# TYPE (\w+) \w+$", text)}
    for name, labels in re.findall(r"(?m)^(\w+)(?:\{(.*)\})? ", text):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def dashboard(objects):
    [found] = [each for each in objects if each["kind"] == "ConfigMap"]
    return found, json.loads(found["data"]["rust-ml-api.json"])


def rules(objects):
    [group] = helm.find(objects, "PrometheusRule")["spec"]["groups"]
    return group["rules"]


def test_metric_names_are_found_in_an_expression():
    expression = 'sum by (le) (rate(a_bucket{job="x", y=~"b_c"}[5m])) / (count(d_e) or vector(0)) > 0.5'

    assert metric_names(expression) == {"a_bucket", "d_e"}


def test_every_panel_queries_metrics_that_the_service_exports(objects, live_server):
    known = exported(live_server.url)
    _, board = dashboard(objects)
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]

    assert len(panels) >= 15
    for panel in panels:
        for target in panel["targets"]:
            names = metric_names(target["expr"])
            assert names
            assert names <= set(known), panel["title"]
            for by in re.findall(r"by \(([^)]*)\)", target["expr"]):
                labels = set.union(*(known[name] for name in names))
                # Prometheus adds the label pod itself.
                assert not labels or set(by.split(", ")) <= labels | {"pod"}, panel["title"]


@pytest.mark.parametrize("target", ["digit", "label", "number"])
def test_predictions_are_shown_by_class_whatever_the_class_is_called(objects, target):
    """Prometheus adds labels of its own; what is left must be the class, which is the series' name then."""
    metrics = Metrics()
    metrics.serving("some-classifier", "1", target, ["a", "b"])
    [family] = [each for each in metrics.collect() if each.name == "predictions"]
    _, board = dashboard(objects)
    [panel] = [each for each in board["panels"] if each["title"] == "Predictions by class"]
    [query] = panel["targets"]
    [without] = re.findall(r"sum without \(([^)]*)\)", query["expr"])

    assert metric_names(query["expr"]) == {"predictions_total"}
    assert query["legendFormat"] == "__auto"
    for sample in family.samples:
        assert (ADDED_BY_PROMETHEUS | set(sample.labels)) - set(without.split(", ")) == {target}


def test_every_alert_queries_metrics_that_the_service_exports(objects, live_server):
    known = exported(live_server.url)
    canary = helm.render(helm.read_values(helm.CHART / "ci" / "canary-values.yaml"))

    for rule in rules(objects) + rules(canary):
        assert metric_names(rule["expr"]) <= set(known) | FROM_ELSEWHERE, rule["alert"]


def test_latencies_are_those_of_every_route_that_predicts_and_of_no_other(objects, live_server):
    canary = helm.render(helm.read_values(helm.CHART / "ci" / "canary-values.yaml"))
    _, board = dashboard(objects)
    expressions = [rule["expr"] for rule in rules(objects) + rules(canary)]
    expressions += [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    timed = [each for each in expressions if "http_request_duration_seconds_bucket" in each]
    paths = requests.get(f"{live_server.url}/openapi.json", timeout=10).json()["paths"]

    assert len(timed) >= 5
    for expression in timed:
        [pattern] = set(re.findall(r'route=~"([^"]*)"', expression))
        assert {path for path in paths if re.fullmatch(pattern, path)} == {
            PATH,
            *INFER_PATHS,
            *PREDICTION_PATHS,
        }


def test_the_scaled_object_queries_a_metric_that_the_service_exports(live_server):
    scaled = helm.find(helm.render(helm.read_values(helm.CHART / "ci" / "keda-values.yaml")), "ScaledObject")
    queries = [
        each["metadata"]["query"] for each in scaled["spec"]["triggers"] if each["type"] == "prometheus"
    ]

    assert [metric_names(query) for query in queries] == [{"inference_queue_depth"}]
    assert "inference_queue_depth" in exported(live_server.url)


def test_the_alerts_are_complete_and_described(objects):
    alerts = {rule["alert"]: rule for rule in rules(objects)}

    assert set(alerts) == {
        "RustMlApiErrors",
        "RustMlApiSlow",
        "RustMlApiQueueing",
        "RustMlApiReloadFailed",
        "RustMlApiModelVersionsDiffer",
        "RustMlApiReplicasNotReady",
        "NoRequests",
    }
    assert alerts["RustMlApiErrors"]["labels"] == {"severity": "critical", "team": "vision"}
    assert alerts["RustMlApiErrors"]["expr"] == (
        'sum(rate(http_requests_total{namespace="vision", job="rust-ml-api-service", status=~"5.."}[5m]))'
        ' / sum(rate(http_requests_total{namespace="vision", job="rust-ml-api-service"}[5m])) > 0.01'
    )
    for rule in alerts.values():
        if rule["alert"] != "NoRequests":
            assert rule["annotations"].keys() == {"summary", "description"}


def test_every_bracket_in_an_expression_is_closed(objects):
    _, board = dashboard(objects)
    expressions = [rule["expr"] for rule in rules(objects)]
    expressions += [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]

    for expression in expressions:
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression


def test_grafana_finds_the_dashboard(objects):
    config_map, board = dashboard(objects)

    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config_map["metadata"]["annotations"] == {"grafana_folder": "Models"}
    assert [each["name"] for each in board["templating"]["list"]] == ["datasource", "namespace", "job"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_prometheus_scrapes_the_service(objects):
    monitor = helm.find(objects, "ServiceMonitor")
    service = helm.find(objects, "Service")

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [
        {"port": "http", "path": "/metrics", "interval": "15s", "scrapeTimeout": "10s"}
    ]
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert (
        helm.find(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"].items()
        >= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "3000",
            "prometheus.io/path": "/metrics",
        }.items()
    )
