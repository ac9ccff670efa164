"""The Deployment: its rollout, probes, shutdown and resources, and the settings of its pods."""

from __future__ import annotations

import re

import pytest

import service
from service.settings import Settings
from tools import chart_docs, helm

ci_values = pytest.mark.parametrize("file", helm.CI_VALUES, ids=lambda file: file.stem)


def deployment(values=None, **options):
    return helm.find(helm.render(values, **options), "Deployment")


def container(values=None, **options):
    return deployment(values, **options)["spec"]["template"]["spec"]["containers"][0]


def env(values=None, **options):
    return {
        each["name"]: each.get("value", each.get("valueFrom")) for each in container(values, **options)["env"]
    }


def test_a_new_chart_version_alone_restarts_no_pod():
    labels = deployment()["spec"]["template"]["metadata"]["labels"]

    assert "helm.sh/chart" not in labels


@pytest.mark.parametrize("values", [{"autoscaling": {"enabled": True}}, {"keda": {"enabled": True}}], ids=str)
def test_an_autoscaled_deployment_has_no_replica_count(values):
    assert "replicas" not in deployment(values)["spec"]
    assert deployment()["spec"]["replicas"] == 2


def test_a_rolling_update_removes_an_old_pod_only_after_a_new_one_is_ready():
    strategy = deployment()["spec"]["strategy"]

    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize(
    ("version", "hook"),
    [("1.28.0", {"exec": {"command": ["sleep", "5"]}}), ("1.30.0", {"sleep": {"seconds": 5}})],
)
def test_the_pre_stop_hook_uses_the_sleep_action_from_kubernetes_1_30(version, hook):
    assert container(kube_version=version)["lifecycle"]["preStop"] == hook


def test_no_pre_stop_pause_means_no_hook():
    assert "lifecycle" not in container({"preStopSleepSeconds": 0})


@ci_values
def test_the_grace_period_is_longer_than_pause_and_drain(file):
    values = helm.read_values(file)
    pod = deployment(values)["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod["terminationGracePeriodSeconds"] > pause + int(env(values)["SHUTDOWN_TIMEOUT_SECONDS"])


def test_all_three_probes_get_healthz_on_the_named_port():
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_the_number_of_threads_comes_from_the_cpu_limit_unless_it_is_set():
    assert env()["CPU_LIMIT"] == {
        "resourceFieldRef": {"containerName": "rust-ml-api", "resource": "limits.cpu", "divisor": "1"}
    }
    assert env({"settings": {"numThreads": 3}})["NUM_THREADS"] == "3"
    assert "NUM_THREADS" not in env()
    assert "CPU_LIMIT" not in env({"resources": {"limits": {"cpu": None}}}, strict=False)


def test_an_idle_pod_stays_below_the_autoscalers_memory_target():
    comments = {
        value.path: value.comment for value in chart_docs.values((helm.CHART / "values.yaml").read_text())
    }
    [measured] = re.findall(r"holds (\d+) MiB of resident memory when it is idle", comments["resources"])
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
    given_elsewhere |= {"NUM_THREADS", "MAX_BATCH_SIZE", "MAX_BODY_BYTES"}  # empty by default
    given_elsewhere |= {"MODEL_NAME", "MODEL_MIN_ACCURACY"}  # these, too
    given_elsewhere |= {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
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


def test_large_numbers_are_not_written_in_scientific_notation():
    assert env({"settings": {"maxBodyBytes": 16777216}})["MAX_BODY_BYTES"] == "16777216"
    assert env({"settings": {"queueTimeoutSeconds": 0.5}})["QUEUE_TIMEOUT_SECONDS"] == "0.5"
    assert env({"settings": {"modelMinAccuracy": 0.995}})["MODEL_MIN_ACCURACY"] == "0.995"


def test_the_image_tag_is_the_app_version_unless_a_tag_or_digest_is_set():
    digest = "sha256:" + "a" * 64

    assert container()["image"] == f"rust-ml-api:{service.__version__}"
    assert container({"image": {"tag": "dev"}})["image"] == "rust-ml-api:dev"
    assert container({"image": {"tag": "dev", "digest": digest}})["image"] == f"rust-ml-api@{digest}"


def test_pods_spread_over_nodes_within_each_revision():
    [constraint] = deployment()["spec"]["template"]["spec"]["topologySpreadConstraints"]

    assert constraint["labelSelector"]["matchLabels"] == deployment()["spec"]["selector"]["matchLabels"]
    assert constraint["matchLabelKeys"] == ["pod-template-hash"]
