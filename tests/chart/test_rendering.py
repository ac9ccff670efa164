"""The release as a whole: valid objects on the oldest and newest Kubernetes, names, labels and selectors."""

from __future__ import annotations

import hashlib
import tarfile
from itertools import chain, product
from pathlib import Path

import helm_python
import kubernetes_validate
import pytest
import yaml

import service
from tools import helm

CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute", "ServingRuntime", "TrainJob"}
ci_values = pytest.mark.parametrize("file", helm.CI_VALUES, ids=lambda file: file.stem)


def names(values=None, **options):
    return {(each["kind"], each["metadata"]["name"]) for each in helm.render(values, **options)}


@ci_values
@pytest.mark.parametrize("version", [helm.OLDEST, helm.NEWEST])
def test_every_object_fits_the_schema_of_its_kind(file, version):
    objects = helm.render(helm.read_values(file), kube_version=version)

    for each in objects:
        if each["kind"] not in CUSTOM:
            assert kubernetes_validate.validate(each, version, strict=True) == version.rsplit(".", 1)[0]


def test_helm_lint_finds_no_problems():
    assert helm.lint(helm.CHART, strict=True) == []


def test_the_default_release_has_the_names_that_the_guide_promises():
    everything = helm.render({"autoscaling": {"enabled": True}})

    service_ = helm.find(everything, "Service")
    hpa = helm.find(everything, "HorizontalPodAutoscaler")
    pod = helm.find(everything, "Deployment")["spec"]["template"]
    [container] = pod["spec"]["containers"]
    assert names({"autoscaling": {"enabled": True}}) == {
        ("Deployment", "rust-ml-api"),
        ("HorizontalPodAutoscaler", "rust-ml-api-hpa"),
        ("Pod", "rust-ml-api-test"),
        ("PodDisruptionBudget", "rust-ml-api"),
        ("Service", "rust-ml-api-service"),
        ("ServiceAccount", "rust-ml-api"),
    }
    assert container["name"] == "rust-ml-api"
    assert container["ports"] == [{"name": "http", "containerPort": 3000, "protocol": "TCP"}]
    assert pod["metadata"]["labels"]["app"] == "rust-ml-api"
    assert service_["spec"]["ports"][0]["port"] == 80
    assert service_["spec"]["ports"][0]["targetPort"] == "http"
    assert hpa["spec"]["scaleTargetRef"]["name"] == "rust-ml-api"
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 10)
    targets = {each["resource"]["name"]: each["resource"]["target"] for each in hpa["spec"]["metrics"]}
    assert {name: target["averageUtilization"] for name, target in targets.items()} == {
        "cpu": 70,
        "memory": 80,
    }


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("digits", {}, "digits-rust-ml-api"),
        ("rust-ml-api-blue", {}, "rust-ml-api-blue"),
        ("digits", {"nameOverride": "api"}, "digits-api"),
        ("digits", {"fullnameOverride": "exactly-this"}, "exactly-this"),
        ("a" * 50, {"nameOverride": "a"}, "a" * 50),
        ("a" * 51, {"nameOverride": "a"}, "a" * 41 + "-" + hashlib.sha256(b"a" * 51).hexdigest()[:8]),
    ],
)
def test_names_follow_the_release(release, values, name):
    assert ("Deployment", name) in names(values, name=release)
    assert ("Service", f"{name}-service") in names(values, name=release)


@ci_values
def test_no_name_is_too_long_for_its_kind(file):
    for each in helm.render(helm.read_values(file), name="r" * 53):
        assert len(each["metadata"]["name"]) <= 63, each["kind"]


@ci_values
def test_rendering_twice_gives_the_same(file):
    values = helm.read_values(file)

    assert helm.render_files(values) == helm.render_files(values)


# With a canary there are two Deployments: test_canary.py says what may select which.
@pytest.mark.parametrize(
    "file", [file for file in helm.CI_VALUES if "canary" not in file.stem], ids=lambda file: file.stem
)
def test_selectors_choose_the_serving_pods_and_no_others(file):
    objects = helm.render(helm.read_values(file))
    template = helm.find(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    others = [each for each in objects if each["kind"] == "Pod"]
    others += [each["spec"]["template"] for each in objects if each["kind"] == "Job"]
    # Those of the pods that train together: test_training_nodes.py.
    own = [
        each
        for each in objects
        if not each["metadata"]["labels"]["app.kubernetes.io/name"].endswith("-training")
    ]
    of_kind = {each["kind"]: each["spec"] for each in own if "spec" in each}
    selectors = [of_kind["Service"]["selector"], of_kind["Deployment"]["selector"]["matchLabels"]]
    if "PodDisruptionBudget" in of_kind:
        selectors.append(of_kind["PodDisruptionBudget"]["selector"]["matchLabels"])
    if "NetworkPolicy" in of_kind:
        selectors.append(of_kind["NetworkPolicy"]["podSelector"]["matchLabels"])

    for selector in selectors:
        assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
        assert selector.items() <= template.items()
        for other in others:
            assert not selector.items() <= other["metadata"]["labels"].items()


def test_chart_and_service_have_the_same_version():
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == service.__version__
    # Released together by one tag, so they have one number.
    assert chart["version"] == service.__version__
    assert f"image: rust-ml-api:{service.__version__}" in chart["annotations"]["artifacthub.io/images"]


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({}, True),
        ({"replicaCount": 1}, False),
        ({"replicaCount": 1, "autoscaling": {"enabled": True}}, True),
        ({"autoscaling": {"enabled": True, "minReplicas": 1}}, False),
        ({"podDisruptionBudget": {"enabled": False}}, False),
    ],
    ids=str,
)
def test_a_disruption_budget_is_created_only_if_it_cannot_block_a_drain(values, made):
    assert (("PodDisruptionBudget", "rust-ml-api") in names(values)) is made


def test_the_default_release_has_no_custom_resources():
    kinds = {kind for kind, _ in names()}

    assert not kinds & CUSTOM


def test_manifests_contain_the_objects_of_the_chart_without_helms_labels(tmp_path):
    written = helm.write_manifests(tmp_path / "build")

    objects = {file.name: list(yaml.safe_load_all(file.read_text())) for file in written}
    assert {name: {each["kind"] for each in each_file} for name, each_file in objects.items()} == {
        "deployment.yaml": {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"},
        "hpa.yaml": {"HorizontalPodAutoscaler"},
    }
    for each, version in product(chain(*objects.values()), (helm.OLDEST, helm.NEWEST)):
        kubernetes_validate.validate(each, version, strict=True)
        assert helm.parse(yaml.safe_dump(each)) == [each]
        assert "Helm" not in str(each["metadata"])


def test_the_package_contains_the_chart_and_nothing_else(tmp_path, capsys):
    assert helm.main(["package", str(tmp_path)]) == 0

    [archive] = tmp_path.glob("*.tgz")
    with tarfile.open(archive) as files:
        names_ = {Path(name).relative_to("rust-ml-api") for name in files.getnames()}
    assert {
        Path(name) for name in ("Chart.yaml", "values.schema.json", "dashboards/rust-ml-api.json")
    } <= names_
    assert not any("ci" in name.parts for name in names_)
    assert str(archive) in capsys.readouterr().out


def test_a_published_chart_takes_its_images_from_their_repository(tmp_path):
    archive = helm.package(tmp_path, repository="ghcr.io/owner/rust-ml-api")

    with helm_python.Chart.load(archive) as chart:
        files = chart.render({"training": {"enabled": True}, "model": {"existingClaim": "weights"}})
    manifests = (text for name, text in files.items() if name.endswith(".yaml"))
    objects = [found for text in manifests for found in helm.parse(text)]
    images = {
        each["kind"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        for each in objects
        if each.get("kind") in ("Deployment", "Job")
    }
    image = f"ghcr.io/owner/rust-ml-api:{service.__version__}"
    assert images == {"Deployment": image, "Job": f"{image}-training"}
    with tarfile.open(archive) as packed:
        about = yaml.safe_load(packed.extractfile("rust-ml-api/Chart.yaml"))
    assert f"image: {image}" in about["annotations"]["artifacthub.io/images"]
