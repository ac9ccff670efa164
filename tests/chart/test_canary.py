"""The canary: a second Deployment of one template, told apart from the stable pods and compared with them."""

from __future__ import annotations

import re

import pytest

import service
from tools import helm

DIGEST = "sha256:" + "a" * 64
FIRST, SECOND = "1" * 64, "2" * 64


def deployments(values):
    objects = helm.render(values)
    return helm.find(objects, "Deployment"), helm.find(objects, "Deployment", track="canary")


def canary_pod(values):
    _, canary = deployments({"canary": {"enabled": True}} | values)
    return canary["spec"]["template"]


def selects(selector, deployment):
    return selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_a_canary_changes_nothing_of_the_stable_deployment():
    values = {"autoscaling": {"enabled": True}, "model": {"existingConfigMap": "weights-1", "sha256": FIRST}}
    image = {"tag": "0.2.0"}

    stable, _ = deployments(values | {"canary": {"enabled": True, "image": image, "model": {"file": "b.pt"}}})

    # The selector could not change, and another template would restart every pod.
    assert stable == helm.find(helm.render(values), "Deployment")


def test_no_deployment_and_no_autoscaler_counts_the_pods_of_the_other_track():
    stable, canary = deployments({"canary": {"enabled": True}})

    assert not selects(stable["spec"]["selector"]["matchLabels"], canary)
    assert not selects(canary["spec"]["selector"]["matchLabels"], stable)
    assert selects(canary["spec"]["selector"]["matchLabels"], canary)
    for each in (stable, canary):
        [spread] = each["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"] == each["spec"]["selector"]["matchLabels"]


def test_without_a_weight_service_budget_and_policy_select_the_pods_of_both_tracks_and_no_others():
    objects = helm.render({"canary": {"enabled": True}, "networkPolicy": {"enabled": True}})
    spec = {each["kind"]: each["spec"] for each in objects if "spec" in each}
    test = helm.find(objects, "Pod")

    for selector in (
        spec["Service"]["selector"],
        spec["PodDisruptionBudget"]["selector"]["matchLabels"],
        spec["NetworkPolicy"]["podSelector"]["matchLabels"],
    ):
        for track in (None, "canary"):
            assert selects(selector, helm.find(objects, "Deployment", track=track))
        assert not selector.items() <= test["metadata"]["labels"].items()


@pytest.mark.parametrize(("weight", "shares"), [(0, (100, 0)), (10, (90, 10)), (100, (0, 100))])
def test_with_a_weight_the_route_divides_the_requests_between_two_services(weight, shares):
    values = {
        "canary": {"enabled": True, "weight": weight},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
        "service": {"port": 8080},
    }
    objects = helm.render(values)
    stable, canary = (helm.find(objects, "Deployment", track=track) for track in (None, "canary"))
    services = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Service"}
    [rule] = helm.find(objects, "HTTPRoute")["spec"]["rules"]

    assert [(each["name"], each["port"], each["weight"]) for each in rule["backendRefs"]] == [
        ("rust-ml-api-service", 8080, shares[0]),
        ("rust-ml-api-canary", 8080, shares[1]),
    ]
    for name, own, other in (
        ("rust-ml-api-service", stable, canary),
        ("rust-ml-api-canary", canary, stable),
    ):
        assert selects(services[name]["selector"], own)
        assert not selects(services[name]["selector"], other)
        assert [port["port"] for port in services[name]["ports"]] == [8080]


@pytest.mark.parametrize("release", ["rust-ml-api", "r" * 53])
def test_the_names_of_the_canarys_pods_say_what_they_are(release):
    """X-Served-By and the page show the pod's name, of which Kubernetes keeps 58 characters and adds five."""
    objects = helm.render({"canary": {"enabled": True}}, name=release)
    name = helm.find(objects, "Deployment", track="canary")["metadata"]["name"]

    assert "-canary-" in f"{name}-5b8f7c9d6c-"[:58]


@pytest.mark.parametrize(
    ("stable", "own", "expected"),
    [
        ({}, {}, f"rust-ml-api:{service.__version__}"),
        ({"tag": "1", "digest": DIGEST}, {}, f"rust-ml-api@{DIGEST}"),
        ({"digest": DIGEST}, {"tag": "2"}, "rust-ml-api:2"),
        ({"tag": "1"}, {"digest": DIGEST}, f"rust-ml-api@{DIGEST}"),
        ({"tag": "1"}, {"repository": "other"}, f"other:{service.__version__}"),
    ],
)
def test_the_canary_has_its_own_image_or_that_of_the_stable_pods(stable, own, expected):
    [container] = canary_pod({"image": stable, "canary": {"enabled": True, "image": own}})["spec"][
        "containers"
    ]

    assert container["image"] == expected


@pytest.mark.parametrize(
    ("stable", "own", "expected"),
    [
        # Source, file and checksum of the canary's weights.
        ({}, {}, ("image rust-ml-api:2", None, None)),
        # A new image brings other weights than those that the checksum belongs to.
        ({"sha256": FIRST}, {}, ("image rust-ml-api:2", None, None)),
        ({"sha256": FIRST}, {"sha256": SECOND}, ("image rust-ml-api:2", None, SECOND)),
        ({"existingConfigMap": "a", "sha256": FIRST}, {}, ("configmap a", "mnist_cnn.pt", FIRST)),
        (
            {"existingConfigMap": "a", "sha256": FIRST},
            {"existingClaim": "b", "file": "2.pt", "sha256": SECOND},
            ("claim b", "2.pt", SECOND),
        ),
        ({"existingClaim": "a", "sha256": FIRST}, {"file": "2.pt"}, ("claim a", "2.pt", None)),
        ({"url": "https://a/1.pt"}, {"url": "https://a/2.pt"}, ("url https://a/2.pt", "mnist_cnn.pt", None)),
    ],
)
def test_the_canary_has_its_own_weights_or_those_of_the_stable_pods(stable, own, expected):
    pod = canary_pod({"model": stable, "canary": {"enabled": True, "image": {"tag": "2"}, "model": own}})
    annotations = pod["metadata"]["annotations"]
    env = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}

    assert (
        annotations["rust-ml-api/model-source"],
        env.get("MODEL_PATH", "").removeprefix("/models/") or None,
        env.get("MODEL_SHA256"),
    ) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"tag": "2"}},
        {"model": {"existingConfigMap": "weights-2", "sha256": SECOND, "version": "2"}},
    ],
    ids=["image", "model"],
)
def test_promoted_values_make_the_stable_pods_what_the_canarys_were(values):
    before = {"image": {"digest": ""}, "model": {"existingConfigMap": "weights-1"}}
    _, canary = deployments(before | {"canary": {"enabled": True} | values})

    promoted = helm.render(before | values)

    pod = helm.find(promoted, "Deployment")["spec"]["template"]
    assert [each for each in promoted if each["metadata"].get("labels", {}).get("track")] == []
    assert pod["spec"]["containers"] == canary["spec"]["template"]["spec"]["containers"]
    assert pod["spec"]["volumes"] == canary["spec"]["template"]["spec"]["volumes"]


def test_prometheus_labels_both_tracks_under_one_job():
    objects = helm.render(helm.read_values(helm.CHART / "ci" / "canary-weight-values.yaml"))
    [endpoint] = helm.find(objects, "ServiceMonitor")["spec"]["endpoints"]
    selector = helm.find(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"]

    def scraped(deployment, labels):
        """Relabel as Prometheus does: joined sources, a regular expression for all of it, a replacement."""
        pod = deployment["spec"]["template"]["metadata"]["labels"]
        labels = labels | {f"__meta_kubernetes_pod_label_{name}": value for name, value in pod.items()}
        for rule in endpoint["relabelings"]:
            source = ";".join(labels.get(name, "") for name in rule.get("sourceLabels", []))
            if found := re.fullmatch(rule.get("regex", "(.*)"), source):
                labels[rule["targetLabel"]] = rule.get("replacement") or found[1]
        return labels["job"], labels["track"]

    job = "rust-ml-api-service"
    assert scraped(helm.find(objects, "Deployment"), {"job": job}) == (job, "stable")
    canary = helm.find(objects, "Deployment", track="canary")
    assert scraped(canary, {"job": "rust-ml-api-canary"}) == (job, "canary")
    for each in objects:
        if each["kind"] == "Service":
            assert selector.items() <= each["metadata"]["labels"].items()


def test_the_alerts_compare_both_tracks():
    def alerts(values):
        [group] = helm.find(helm.render(values), "PrometheusRule")["spec"]["groups"]
        return {rule["alert"]: rule["expr"] for rule in group["rules"]}

    without = alerts({"prometheusRule": {"enabled": True}})
    found = alerts({"prometheusRule": {"enabled": True}, "canary": {"enabled": True}})

    added = found.keys() - without.keys()
    assert added == {"RustMlApiCanaryErrors", "RustMlApiCanarySlow", "RustMlApiCanaryLabelsDiffer"}
    for alert in added:
        assert 'track="stable"' in found[alert]
        assert 'track="canary"' in found[alert]
    # A canary serves another version on purpose.
    assert found["RustMlApiModelVersionsDiffer"].startswith("count by (track) (count by (track, version) (")
    assert not any("track" in expression for expression in without.values())
