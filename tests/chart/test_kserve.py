"""The runtime that the chart gives to KServe."""

from __future__ import annotations

import json
from copy import deepcopy

import helm_python
import jsonschema
import numpy as np
import pytest
from tritonclient import http as triton

from service.settings import Settings
from tests.support.paths import DATA
from tests.support.schemas import strict
from tests.support.weights import write_constant
from tools import helm

SCHEMA = json.loads((DATA / "kserve" / "servingruntime-v1alpha1.json").read_text())
VALUES = helm.read_values(helm.CHART / "ci" / "kserve-values.yaml")


def runtime(values=VALUES, **options):
    objects = helm.render(values, **options)
    [found] = [each for each in objects if each["kind"].endswith("ServingRuntime")]
    return found


def validate(found):
    jsonschema.validate({**found, "metadata": {}}, strict(SCHEMA))


def environment(found):
    return {each["name"]: each.get("value") for each in found["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("version", [helm.OLDEST, helm.NEWEST])
@pytest.mark.parametrize(
    "values",
    [
        VALUES,
        {"kserve": {"enabled": True, "clusterWide": True, "autoSelect": False, "priority": 1}},
        helm.read_values(helm.CHART / "ci" / "everything-values.yaml") | {"kserve": {"enabled": True}},
    ],
    ids=["namespace", "cluster", "everything"],
)
def test_it_fits_the_schema_of_kserve(values, version):
    validate(runtime(values, kube_version=version))


@pytest.mark.parametrize("place", ["spec", "container", "probe"])
def test_the_schema_refuses_what_kserve_does_not_know(place):
    found = deepcopy(runtime())
    [container] = found["spec"]["containers"]
    {"spec": found["spec"], "container": container, "probe": container["readinessProbe"]["httpGet"]}[place][
        "portt"
    ] = 1

    with pytest.raises(jsonschema.ValidationError, match="'portt' was unexpected"):
        validate(found)


def test_it_is_chosen_for_pytorch_by_protocol_version_2():
    spec = runtime()["spec"]
    [container] = spec["containers"]

    assert spec["supportedModelFormats"] == [
        {"name": "pytorch", "version": "1", "autoSelect": True, "priority": 3},
        {"name": "pytorch", "version": "2", "autoSelect": True, "priority": 3},
    ]
    assert spec["protocolVersions"] == ["v2"]
    assert container["name"] == "kserve-container"
    assert (
        environment(runtime()).items()
        >= {
            "MODEL_PATH": "/mnt/models",
            "MODEL_NAME": "{{.Name}}",
            "TZ": "Etc/UTC",
        }.items()
    )
    assert container["resources"] == VALUES["resources"]
    assert (
        container["securityContext"].items()
        >= {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
        }.items()
    )
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": 3000}
    assert spec["annotations"]["prometheus.kserve.io/port"] == "3000"


def test_knative_accepts_the_container():
    """What its webhook refuses (pkg/apis/serving, k8s_validation.go and fieldmask.go)."""
    [container] = runtime()["spec"]["containers"]

    assert container["ports"] == [{"name": "http1", "containerPort": Settings().port, "protocol": "TCP"}]
    assert environment(runtime()).keys() & {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"} == set()
    for each in container["env"]:
        assert each.get("valueFrom", {}).keys() <= {"configMapKeyRef", "secretKeyRef"}
    assert "lifecycle" not in container


def test_api_keys_are_asked_for_on_kserve_too():
    values = {"kserve": {"enabled": True}, "apiKeys": {"existingSecret": "keys", "key": "all"}}
    spec = runtime(values)["spec"]
    [container] = spec["containers"]

    validate(runtime(values))
    assert environment(runtime(values))["API_KEYS_FILE"] == "/etc/rust-ml-api/all"
    assert {"name": "api-keys", "secret": {"secretName": "keys"}} in spec["volumes"]
    assert {"name": "api-keys", "mountPath": "/etc/rust-ml-api", "readOnly": True} in container[
        "volumeMounts"
    ]


def test_additions_reach_the_pods_of_kserve():
    values = helm.read_values(helm.CHART / "ci" / "everything-values.yaml") | {
        "kserve": {"enabled": True},
        "scrapeAnnotations": True,
    }
    spec = runtime(values)["spec"]
    [container] = spec["containers"]

    assert [each["name"] for each in spec["volumes"]] == ["tmp", "scratch"]
    assert [each["mountPath"] for each in container["volumeMounts"]] == ["/tmp", "/scratch"]
    assert container["envFrom"] == values["extraEnvFrom"]
    for key in ("nodeSelector", "tolerations", "affinity"):
        assert spec[key] == values[key]
    assert spec["imagePullSecrets"] == values["image"]["pullSecrets"]
    assert spec["labels"] == {"team": "vision", "example.com/b": "2"}
    assert (
        spec["annotations"].items()
        >= {"example.com/a": "1", "prometheus.io/port": "3000", "prometheus.io/scrape": "true"}.items()
    )


@pytest.mark.parametrize("model", [{"existingClaim": "weights"}, {"url": "http://a.example/m.pt"}], ids=str)
def test_the_weights_of_the_release_beside_it_are_not_those_of_the_runtime(model):
    found = runtime({"kserve": {"enabled": True}, "model": model})

    assert [each["name"] for each in found["spec"]["volumes"]] == ["tmp"]
    assert environment(found)["MODEL_PATH"] == "/mnt/models"


@pytest.mark.parametrize("name", ["MODEL_PATH", "MODEL_NAME"])
def test_a_variable_of_the_runtime_can_not_be_there_twice(name):
    values = {"kserve": {"enabled": True}, "extraEnv": [{"name": name, "value": "a"}]}

    with pytest.raises(helm_python.HelmError, match=f"extraEnv has name {name}, which the chart sets itself"):
        helm.render(values)
    assert helm.render(values | {"kserve": {"enabled": False}})


def test_the_pods_of_kserve_are_not_those_of_the_release():
    objects = helm.render({"kserve": {"enabled": True}, "networkPolicy": {"enabled": True}})
    labels = runtime({"kserve": {"enabled": True}})["spec"].get("labels", {})
    specs = {each["kind"]: each["spec"] for each in objects if "spec" in each}

    for selector in (
        specs["Service"]["selector"],
        specs["PodDisruptionBudget"]["selector"]["matchLabels"],
        specs["NetworkPolicy"]["podSelector"]["matchLabels"],
    ):
        assert not selector.items() <= labels.items()


def test_it_is_there_only_if_it_is_asked_for():
    assert not [each for each in helm.render() if each["kind"].endswith("ServingRuntime")]
    assert runtime()["kind"] == "ServingRuntime"
    assert runtime({"kserve": {"enabled": True, "clusterWide": True}})["kind"] == "ClusterServingRuntime"


def test_a_client_of_an_inference_service_gets_its_answer(start_server, tmp_path):
    """With KServe's own values in its place: a folder with the model, and the service's name."""
    write_constant(tmp_path / "whatever.pt", 4)
    settings = environment(runtime({"kserve": {"enabled": True}})) | {
        "PORT": "0",
        "MODEL_PATH": tmp_path,
        "MODEL_NAME": "sorting-office",
        "HOST": "127.0.0.1",
        "LOG_FORMAT": "json",
    }
    server = start_server(**{name: value for name, value in settings.items() if value is not None})

    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    image = triton.InferInput("image", [1, 784], "FP32")
    image.set_data_from_numpy(np.zeros((1, 784), np.float32))
    result = client.infer("sorting-office", [image])

    assert client.is_model_ready("sorting-office")
    assert result.get_response()["model_name"] == "sorting-office"
    assert result.as_numpy("digit").tolist() == [4]


def test_a_name_that_can_not_be_shown_is_refused(tmp_path, start_server):
    with pytest.raises(AssertionError, match=r"can't be served as 'a\\\\nb' \(MODEL_NAME\)"):
        start_server(MODEL_NAME="a\nb")
