"""The chart as Helm renders it: names, schemas of the oldest and newest Kubernetes, how its parts meet."""

from __future__ import annotations

import re
import tarfile
from itertools import chain, product
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import service
from service.settings import Settings
from tools import helm

CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"}
ci_values = pytest.mark.parametrize("file", helm.CI_VALUES, ids=lambda file: file.stem)


def deployment(values=None, **options):
    return helm.find(helm.render(values, **options), "Deployment")


def container(values=None, **options):
    return deployment(values, **options)["spec"]["template"]["spec"]["containers"][0]


def env(values=None, **options):
    return {
        each["name"]: each.get("value", each.get("valueFrom")) for each in container(values, **options)["env"]
    }


def names(values=None, **options):
    return {(each["kind"], each["metadata"]["name"]) for each in helm.render(values, **options)}


@ci_values
@pytest.mark.parametrize("version", [helm.OLDEST, helm.NEWEST])
def test_every_object_fits_the_schema_of_its_kind(file, version):
    objects = helm.render(helm.read_values(file), kube_version=version)

    for each in objects:
        if each["kind"] not in CUSTOM:
            assert kubernetes_validate.validate(each, version, strict=True) == version.rsplit(".", 1)[0]


def test_helm_finds_nothing_to_complain_about():
    assert helm.lint(helm.CHART, strict=True) == []


def test_the_default_release_has_the_names_that_the_guide_promises():
    everything = helm.render({"autoscaling": {"enabled": True}})

    service_ = helm.find(everything, "Service")
    hpa = helm.find(everything, "HorizontalPodAutoscaler")
    assert names({"autoscaling": {"enabled": True}}) == {
        ("Deployment", "rust-ml-api"),
        ("HorizontalPodAutoscaler", "rust-ml-api-hpa"),
        ("Pod", "rust-ml-api-test"),
        ("PodDisruptionBudget", "rust-ml-api"),
        ("Service", "rust-ml-api-service"),
        ("ServiceAccount", "rust-ml-api"),
    }
    assert container()["name"] == "rust-ml-api"
    assert container()["ports"] == [{"name": "http", "containerPort": 3000, "protocol": "TCP"}]
    assert deployment()["spec"]["template"]["metadata"]["labels"]["app"] == "rust-ml-api"
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
        ("a" * 53, {}, "a" * 50),
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


@ci_values
def test_selectors_choose_the_serving_pods_and_no_others(file):
    objects = helm.render(helm.read_values(file))
    template = helm.find(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    others = [each for each in objects if each["kind"] == "Pod"]
    others += [each["spec"]["template"] for each in objects if each["kind"] == "Job"]
    of_kind = {each["kind"]: each["spec"] for each in objects if "spec" in each}
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


def test_a_new_chart_version_alone_restarts_no_pod():
    labels = deployment()["spec"]["template"]["metadata"]["labels"]

    assert "helm.sh/chart" not in labels


@pytest.mark.parametrize("values", [{"autoscaling": {"enabled": True}}, {"keda": {"enabled": True}}], ids=str)
def test_an_autoscaled_deployment_has_no_replica_count(values):
    assert "replicas" not in deployment(values)["spec"]
    assert deployment()["spec"]["replicas"] == 2


def test_a_rolling_update_takes_no_pod_away_before_its_successor_is_ready():
    strategy = deployment()["spec"]["strategy"]

    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize(
    ("version", "hook"),
    [("1.28.0", {"exec": {"command": ["sleep", "5"]}}), ("1.30.0", {"sleep": {"seconds": 5}})],
)
def test_the_pause_before_stopping_uses_the_sleep_action_where_it_exists(version, hook):
    assert container(kube_version=version)["lifecycle"]["preStop"] == hook


def test_the_pause_before_stopping_can_be_left_out():
    assert "lifecycle" not in container({"preStopSleepSeconds": 0})


@ci_values
def test_pods_get_longer_to_stop_than_pause_and_drain_take(file):
    values = helm.read_values(file)
    pod = deployment(values)["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod["terminationGracePeriodSeconds"] > pause + int(env(values)["SHUTDOWN_TIMEOUT_SECONDS"])


def test_all_three_probes_ask_healthz_on_the_named_port():
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_workers_and_threads_come_from_the_cpu_limit():
    assert env()["CPU_LIMIT"] == {
        "resourceFieldRef": {"containerName": "rust-ml-api", "resource": "limits.cpu", "divisor": "1"}
    }
    assert env({"settings": {"numThreads": 3}})["NUM_THREADS"] == "3"
    assert env({"settings": {"workers": 2}})["WORKERS"] == "2"
    assert not {"NUM_THREADS", "WORKERS"} & env().keys()
    assert "CPU_LIMIT" not in env({"resources": {"limits": {"cpu": None}}}, strict=False)


@pytest.mark.parametrize(
    ("version", "written"),
    [("1.30.0", None), ("1.31.0", "PreferClose"), ("1.33.0", "PreferClose"), ("1.34.0", "PreferSameZone")],
)
def test_traffic_distribution_has_the_name_that_the_cluster_knows(version, written):
    objects = helm.render({"service": {"trafficDistribution": "PreferSameZone"}}, kube_version=version)

    assert helm.find(objects, "Service")["spec"].get("trafficDistribution") == written


def test_an_idle_pod_leaves_the_autoscalers_memory_target_alone():
    comment = (helm.CHART / "values.yaml").read_text()
    [measured] = re.findall(r"holds\n# (\d+) MiB of resident memory when it is idle", comment)
    memory = container()["resources"]["requests"]["memory"]
    hpa = helm.find(helm.render({"autoscaling": {"enabled": True}}), "HorizontalPodAutoscaler")
    [target] = [
        each["resource"]["target"]["averageUtilization"]
        for each in hpa["spec"]["metrics"]
        if each["resource"]["name"] == "memory"
    ]

    assert memory.endswith("Mi")
    assert 100 * int(measured) / int(memory.removesuffix("Mi")) < 0.75 * target


def test_an_update_of_five_pods_fits_a_minikube_of_two_cpus():
    requests = container()["resources"]["requests"]
    surge = deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"]

    # Kubernetes' own pods request 0.85 of the 2 CPUs.
    assert (5 + surge) * int(requests["cpu"].removesuffix("m")) <= 2000 - 850


def test_every_setting_of_the_service_is_a_value_with_the_same_default():
    given_elsewhere = {"CPU_LIMIT", "PORT", "MODEL_PATH", "MODEL_SHA256", "API_KEYS_FILE"}
    given_elsewhere |= {"WORKERS", "NUM_THREADS"}  # empty by default
    defaults = {name.upper(): getattr(Settings(), name) for name in Settings.__dataclass_fields__}
    variables = env()

    # A new setting belongs into values.yaml and values.schema.json; then run `python -m tools.helm docs`.
    assert set(variables) | given_elsewhere == set(defaults) | given_elsewhere
    for name in set(variables) - given_elsewhere:
        assert type(defaults[name])(variables[name]) == defaults[name], name


@ci_values
def test_the_service_accepts_the_environment_that_the_chart_gives_it(file):
    variables = {name: value for name, value in env(helm.read_values(file)).items() if isinstance(value, str)}

    settings = Settings.from_env(variables)

    assert settings.port == 3000


def test_large_numbers_reach_the_service_as_digits():
    assert env({"settings": {"maxBodyBytes": 16777216}})["MAX_BODY_BYTES"] == "16777216"
    assert env({"settings": {"queueTimeoutSeconds": 0.5}})["QUEUE_TIMEOUT_SECONDS"] == "0.5"


def test_the_image_is_the_release_unless_a_tag_or_digest_is_given():
    digest = "sha256:" + "a" * 64

    assert container()["image"] == f"rust-ml-api:{service.__version__}"
    assert container({"image": {"tag": "dev"}})["image"] == "rust-ml-api:dev"
    assert container({"image": {"tag": "dev", "digest": digest}})["image"] == f"rust-ml-api@{digest}"


def test_chart_and_service_have_the_same_version():
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == service.__version__
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
def test_a_disruption_budget_is_made_only_where_it_cannot_block_a_drain(values, made):
    assert (("PodDisruptionBudget", "rust-ml-api") in names(values)) is made


def test_pods_spread_over_nodes_and_each_update_spreads_anew():
    [constraint] = deployment()["spec"]["template"]["spec"]["topologySpreadConstraints"]

    assert constraint["labelSelector"]["matchLabels"] == deployment()["spec"]["selector"]["matchLabels"]
    assert constraint["matchLabelKeys"] == ["pod-template-hash"]


def test_the_chart_needs_no_custom_resource_unless_asked():
    kinds = {kind for kind, _ in names()}

    assert not kinds & CUSTOM


def test_manifests_hold_what_the_chart_installs_without_traces_of_helm(tmp_path):
    written = helm.write_manifests(tmp_path / "build")

    objects = {file.name: list(yaml.safe_load_all(file.read_text())) for file in written}
    assert {name: {each["kind"] for each in each_file} for name, each_file in objects.items()} == {
        "deployment.yaml": {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"},
        "hpa.yaml": {"HorizontalPodAutoscaler"},
    }
    for each, version in product(chain(*objects.values()), (helm.OLDEST, helm.NEWEST)):
        kubernetes_validate.validate(each, version, strict=True)
        assert "Helm" not in str(each["metadata"])


def test_the_package_holds_the_chart_and_nothing_else(tmp_path, capsys):
    assert helm.main(["package", str(tmp_path)]) == 0

    [archive] = tmp_path.glob("*.tgz")
    with tarfile.open(archive) as files:
        names_ = {Path(name).relative_to("rust-ml-api") for name in files.getnames()}
    assert {
        Path(name) for name in ("Chart.yaml", "values.schema.json", "dashboards/rust-ml-api.json")
    } <= names_
    assert not any("ci" in name.parts for name in names_)
    assert str(archive) in capsys.readouterr().out
