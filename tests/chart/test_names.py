"""Names and texts that YAML takes for something else, that are twice, or that Kubernetes refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from tools import helm

LIKE_NO_TEXT = ["2048", "true", "null", "on", "1e3", "0x1f", "010"]
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"}
EVERYTHING = {
    "autoscaling": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "ingress": {
        "enabled": True,
        "hosts": [{"host": "a.example", "paths": [{"path": "/", "pathType": "Prefix"}]}],
    },
    "grafanaDashboard": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
}


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value in an object with its path."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from leaves(child, f"{path}/{key}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from leaves(child, f"{path}/{index}")
    else:
        yield path, node


def types(objects: list[dict[str, Any]]) -> dict[tuple[str, str], type]:
    """Kind and path → type of every value of a release, custom resources included."""
    return {
        # The dashboard's file is called after the release.
        (each["kind"], path.partition("/data/")[0]): type(value)
        for each in objects
        for path, value in leaves(each)
    }


def wrong_types(objects: list[dict[str, Any]]) -> list[str]:
    """What is wrong with any object of a release, in the words of Kubernetes' own schema."""
    found = []
    for each in objects:
        if each["kind"] in CUSTOM:
            continue
        try:
            kubernetes_validate.validate(each, helm.NEWEST, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{each['kind']}: {error.message}")
    return found


@pytest.mark.parametrize("name", LIKE_NO_TEXT)
def test_a_release_may_be_called_like_a_number(name):
    values = EVERYTHING | {"fullnameOverride": "digits", "nameOverride": "api"}

    objects = helm.render(values, name=name)

    assert wrong_types(objects) == []
    labels = helm.find(objects, "Deployment")["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == name


VALUES = {
    "model.existingConfigMap": lambda text: {"model": {"existingConfigMap": text}},
    "model.existingClaim": lambda text: {"model": {"existingClaim": text}},
    "model.file": lambda text: {"model": {"existingConfigMap": "weights", "file": text}},
    "model.version": lambda text: {"model": {"existingConfigMap": "weights", "version": text}},
    "apiKeys.existingSecret": lambda text: {"apiKeys": {"existingSecret": text}},
    "apiKeys.key": lambda text: {"apiKeys": {"existingSecret": "keys", "key": text}},
    "image.tag": lambda text: {"image": {"tag": text}},
    "image.repository": lambda text: {"image": {"repository": text}},
    "image.pullSecrets": lambda text: {"image": {"pullSecrets": [{"name": text}]}},
    "priorityClassName": lambda text: {"priorityClassName": text},
    "serviceAccount.name": lambda text: {"serviceAccount": {"name": text}},
    "nodeSelector": lambda text: {"nodeSelector": {"a": text}},
    "commonLabels": lambda text: {"commonLabels": {"a": text}},
    "podLabels": lambda text: {"podLabels": {"a": text}},
    "podAnnotations": lambda text: {"podAnnotations": {"a": text}},
    "service.annotations": lambda text: {"service": {"annotations": {"a": text}}},
    "ingress.className": lambda text: {"ingress": EVERYTHING["ingress"] | {"className": text}},
    "ingress.hosts": lambda text: {
        "ingress": EVERYTHING["ingress"]
        | {"hosts": [{"host": text, "paths": [{"path": f"/{text}", "pathType": "Exact"}]}]}
    },
    "ingress.tls": lambda text: {
        "ingress": EVERYTHING["ingress"] | {"tls": [{"secretName": text, "hosts": [text]}]}
    },
    "httpRoute": lambda text: {
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": text, "namespace": text}],
            "hostnames": [text],
            "annotations": {"a": text},
        }
    },
    "serviceMonitor.labels": lambda text: {"serviceMonitor": {"enabled": True, "labels": {"a": text}}},
    "prometheusRule": lambda text: {
        "prometheusRule": {"enabled": True, "labels": {"a": text}, "alertLabels": {"a": text}}
    },
    "grafanaDashboard": lambda text: {
        "grafanaDashboard": {"enabled": True, "labels": {"a": text}, "annotations": {"a": text}}
    },
    "nameOverride": lambda text: {"nameOverride": text},
    "fullnameOverride": lambda text: {"fullnameOverride": text},
    "service.loadBalancerClass": lambda text: {"service": {"loadBalancerClass": text}},
    "keda": lambda text: {"autoscaling": {"enabled": False}, "keda": {"enabled": True}, "nameOverride": text},
    "extraEnv": lambda text: {"extraEnv": [{"name": "A", "value": text}]},
    "training.image": lambda text: {
        "model": {"existingClaim": "weights"},
        "training": {"enabled": True, "image": text, "existingDataClaim": text, "args": [text]},
    },
}


@pytest.mark.parametrize("key", VALUES)
def test_texts_in_values_stay_texts(key):
    """By Kubernetes' schemas; in custom resources, whose schemas are not here, by the type of each value."""
    plain = types(helm.render(EVERYTHING | VALUES[key]("plain")))

    for text in LIKE_NO_TEXT:
        try:
            objects = helm.render(EVERYTHING | VALUES[key](text))
        except helm_python.HelmError as error:
            assert "does not match pattern" in str(error)
            continue
        assert wrong_types(objects) == [], text
        assert types(objects) == plain, text


@pytest.mark.parametrize("scaler", ["autoscaling", "keda"])
@pytest.mark.parametrize("name", ["true", "null", "y", "off"])
def test_names_of_a_release_and_a_namespace_like_a_number_change_the_type_of_nothing(scaler, name):
    values = EVERYTHING | {"autoscaling": {"enabled": False}} | {scaler: {"enabled": True}}

    given, plain = (helm.render(values, name=each, namespace=each) for each in (name, "plain"))

    assert types(given) == types(plain)


@pytest.mark.parametrize("key", ["y", "on", "2048", "1e3", "null"])
def test_keys_of_labels_and_annotations_like_a_number_stay_texts(key):
    values = {name: {key: "a"} for name in ("commonLabels", "podAnnotations", "nodeSelector")}

    deployment = helm.find(helm.render(values), "Deployment")

    pod = deployment["spec"]["template"]
    for found in (
        deployment["metadata"]["labels"],
        pod["metadata"]["annotations"],
        pod["spec"]["nodeSelector"],
    ):
        assert found[key] == "a"


@pytest.mark.parametrize("text", [r"/v1/\d+", '/a"b', "/a'b: c #d", "/é"])
def test_a_path_of_the_ingress_arrives_as_it_is(text):
    values = {
        "ingress": {
            "enabled": True,
            "hosts": [{"paths": [{"path": text, "pathType": "ImplementationSpecific"}]}],
        }
    }

    [rule] = helm.find(helm.render(values), "Ingress")["spec"]["rules"]

    assert rule["http"]["paths"][0]["path"] == text


class OnceLoader(yaml.SafeLoader):
    """Reads YAML in which no key of a map is twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize(
    ("values", "kind", "path", "expected"),
    [
        (
            {"commonLabels": {"a": "1"}, "serviceMonitor": {"enabled": True, "labels": {"a": "2"}}},
            "ServiceMonitor",
            ("metadata", "labels", "a"),
            "2",
        ),
        (
            {"commonLabels": {"a": "1"}, "prometheusRule": {"enabled": True, "labels": {"a": "2"}}},
            "PrometheusRule",
            ("metadata", "labels", "a"),
            "2",
        ),
        (
            {"prometheusRule": {"enabled": True, "alertLabels": {"severity": "page"}}},
            "PrometheusRule",
            ("spec", "groups", 0, "rules", 0, "labels", "severity"),
            "page",
        ),
        (
            {"commonLabels": {"a": "1"}, "grafanaDashboard": {"enabled": True, "labels": {"a": "2"}}},
            "ConfigMap",
            ("metadata", "labels", "a"),
            "2",
        ),
        (
            {"scrapeAnnotations": True, "podAnnotations": {"prometheus.io/path": "/m"}},
            "Deployment",
            ("spec", "template", "metadata", "annotations", "prometheus.io/path"),
            "/m",
        ),
        (
            {"model": {"version": "1"}, "podAnnotations": {"rust-ml-api/model-version": "2"}},
            "Deployment",
            ("spec", "template", "metadata", "annotations", "rust-ml-api/model-version"),
            "2",
        ),
    ],
    ids=str,
)
def test_a_key_that_is_set_in_two_places_is_written_once(values, kind, path, expected):
    for file, text in helm.render_files(values).items():
        if file.endswith(".yaml"):
            yaml.load(text, OnceLoader)

    found: Any = helm.find(helm.render(values), kind)
    for step in path:
        found = found[step]
    assert found == expected


@pytest.mark.parametrize("release", ["2048", "1a", "my.release", "0x1f"])
def test_a_release_whose_service_could_not_be_called_after_it_is_refused(release):
    with pytest.raises(helm_python.HelmError, match="the name of a Service begins with a letter") as refused:
        helm.render(name=release)

    assert f"release {release} would be called" in str(refused.value)
    assert helm.find(helm.render({"fullnameOverride": "digits"}, name=release), "Service")


def test_long_names_with_the_same_beginning_stay_apart():
    releases = [f"{'a' * 51}{end}" for end in ("bc", "bd", "c")]

    names = [helm.find(helm.render(name=release), "Deployment")["metadata"]["name"] for release in releases]

    assert len(set(names)) == 3
    assert all(len(name) == 50 for name in names)


def test_what_set_makes_of_texts_becomes_text_again():
    """As of ``--set 'training.args={--epochs,1}' --set extraEnv[0].value=true``."""
    values = {
        "model": {"existingClaim": "weights"},
        "training": {
            "enabled": True,
            "args": ["--epochs", 1, "--seed", 1_000_000, "--decay", 0.5],
            "extraEnv": [{"name": "N", "value": 2}],
        },
        "extraEnv": [
            {"name": "A", "value": True},
            {"name": "B", "value": 1_000_000},
            {"name": "C", "value": None},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
    }
    objects = helm.render(values)

    [training] = helm.find(objects, "Job")["spec"]["template"]["spec"]["containers"]
    [serving] = helm.find(objects, "Deployment")["spec"]["template"]["spec"]["containers"]

    assert training["args"] == ["--epochs", "1", "--seed", "1000000", "--decay", "0.5"]
    assert training["env"][-1] == {"name": "N", "value": "2"}
    assert serving["env"][-4:] == [
        {"name": "A", "value": "true"},
        {"name": "B", "value": "1000000"},
        {"name": "C"},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    assert wrong_types(helm.render(values)) == []


@pytest.mark.parametrize("number", [0, 7, 2024, 1_234_567, 20_240_101])
def test_a_tag_and_a_version_of_digits_need_no_quotes(number):
    """As of ``--set image.tag=20240101 --set model.version=2``."""
    values = {"image": {"tag": number}, "model": {"existingClaim": "w", "version": number}}
    objects = helm.render(values | {"training": {"enabled": True}})

    pod = helm.find(objects, "Deployment")["spec"]["template"]
    [training] = helm.find(objects, "Job")["spec"]["template"]["spec"]["containers"]
    assert pod["spec"]["containers"][0]["image"] == f"rust-ml-api:{number}"
    assert pod["metadata"]["annotations"]["rust-ml-api/model-version"] == str(number)
    assert training["image"] == f"rust-ml-api:{number}-training"


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"tag": 12345678901234567890}},
        {"model": {"version": -(2**60)}},
        {"extraEnv": [{"name": "A", "value": 1e30}]},
        {
            "model": {"existingClaim": "w"},
            "training": {"enabled": True, "args": ["--seed", 2**53]},
        },
    ],
    ids=str,
)
def test_a_number_that_would_lose_digits_is_refused(values):
    with pytest.raises(helm_python.HelmError, match="Write it in quotes, or use --set-string"):
        helm.render(values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"extraEnv": [{"name": "A", "value": "1"}, {"name": "A"}]}, "extraEnv has name A twice."),
        ({"extraEnv": [{"name": "LOG_LEVEL"}]}, "extraEnv has name LOG_LEVEL, which the chart sets itself."),
        ({"extraEnv": [{"name": "PORT"}]}, "extraEnv has name PORT, which the chart sets itself."),
        ({"training": {"extraEnv": [{"name": "HOME"}]}}, "training.extraEnv has name HOME, which the chart"),
        ({"extraVolumes": [{"name": "tmp"}]}, "extraVolumes has name tmp, which the chart sets itself."),
        ({"extraVolumes": [{"name": "a"}, {"name": "a"}]}, "extraVolumes has name a twice."),
        (
            {
                "model": {"existingConfigMap": "w"},
                "extraVolumeMounts": [{"name": "tmp", "mountPath": "/models/"}],
            },
            "extraVolumeMounts has mountPath /models, which the chart sets itself.",
        ),
        (
            {"extraVolumeMounts": [{"name": "tmp", "mountPath": p} for p in ("/a", "/a/", "/b")]},
            "extraVolumeMounts has mountPath /a twice.",
        ),
        (
            {"extraVolumeMounts": [{"name": "data", "mountPath": "/data"}]},
            "extraVolumeMounts mounts the volume data, which the pod does not have. Add it to extraVolumes;"
            " there are tmp.",
        ),
        (
            {"extraContainers": [{"name": "a", "volumeMounts": [{"name": "b", "mountPath": "/b"}]}]},
            "extraContainers, container a, mounts the volume b, which the pod does not have.",
        ),
        (
            {"extraContainers": [{"name": "a", "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}]},
            "extraContainers, container a, env has name A twice.",
        ),
        (
            {"extraInitContainers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1}]}]},
            "extraInitContainers, container a, has port 1/TCP twice.",
        ),
        (
            {"model": {"url": "http://a.example/b"}, "extraInitContainers": [{"name": "model"}]},
            "extraInitContainers and extraContainers has name model, which the chart sets itself.",
        ),
        (
            {"apiKeys": {"existingSecret": "a"}, "extraVolumes": [{"name": "api-keys"}]},
            "extraVolumes has name api-keys, which the chart sets itself.",
        ),
        (
            {"apiKeys": {"existingSecret": "a"}, "extraEnv": [{"name": "API_KEYS_FILE"}]},
            "extraEnv has name API_KEYS_FILE, which the chart sets itself. Remove it, or choose another one;"
            " the chart sets variables from settings, model and apiKeys.",
        ),
        (
            {"extraEnv": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]},
            "extraEnv has A with a value and a valueFrom. Remove one of them.",
        ),
        ({"image": {"pullSecrets": [{"name": "a"}, {"name": "a"}]}}, "image.pullSecrets has name a twice."),
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": skew, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
                    for skew in (1, 2)
                ]
            },
            "topologySpreadConstraints has constraint zone/DoNotSchedule twice.",
        ),
        ({"tolerations": [{"key": "a", "value": True}]}, "at '/tolerations/0/value': got boolean, want str"),
        ({"extraContainers": [{"name": "a", "args": [1]}]}, "/extraContainers/0/args/0': got number, want"),
        ({"extraContainers": [{"name": "a", "env": [{"name": "A", "value": 1}]}]}, "/env/0/value': got num"),
        ({"extraVolumes": [{"name": "a", "secret": {"secretName": 1}}]}, "secretName': got number, want str"),
        ({"extraEnvFrom": [{"configMapRef": {"name": 1}}]}, "/configMapRef/name': got number, want string"),
        (
            {"ingress": {"tls": [{"secretName": 1}]}},
            "at '/ingress/tls/0/secretName': got number, want string",
        ),
        ({"httpRoute": {"parentRefs": [{"name": 1}]}}, "/parentRefs/0/name': got number, want string"),
        ({"commonLabels": {"a": "b c"}}, "at '/commonLabels/a': 'b c' does not match pattern"),
        ({"podLabels": {"a": "b" * 64}}, "at '/podLabels/a': maxLength: got 64, want 63"),
        ({"nodeSelector": {"a b": "c"}}, "at '/nodeSelector': additional properties 'a b' not allowed"),
        ({"model": {"existingClaim": "a..b"}}, "at '/model/existingClaim': 'a..b' does not match pattern"),
        (
            {"extraContainers": [{"name": "rust-ml-api"}]},
            "extraInitContainers and extraContainers has name rust-ml-api, which the chart sets itself.",
        ),
        (
            {"extraContainers": [{"name": "a"}], "extraInitContainers": [{"name": "a"}]},
            "extraInitContainers and extraContainers has name a twice.",
        ),
        ({"podLabels": {"app": "x"}}, "commonLabels or podLabels has app, which the chart sets itself."),
        ({"podLabels": {"a": "1"}, "commonLabels": {"a": "2"}}, "commonLabels and podLabels both have a."),
        ({"extraEnv": [{"name": 1}]}, "at '/extraEnv/0/name': got number, want string"),
        ({"extraEnv": [{"name": "A", "value": [1]}]}, "at '/extraEnv/0/value': got array, want "),
        ({"extraVolumes": [{"name": "A_b"}]}, "at '/extraVolumes/0/name': 'A_b' does not match pattern"),
        ({"extraContainers": [{"image": "a"}]}, "at '/extraContainers/0': missing property 'name'"),
        (
            {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1024Mi"}}},
            "resources.requests.memory is 2Gi, but resources.limits.memory is 1024Mi. A request",
        ),
        (
            {"resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": 1}}},
            "resources.requests.cpu is 1500m, but resources.limits.cpu is 1.",
        ),
        (
            {"resources": {"requests": {"memory": 2_000_000_000}}},
            "resources.requests.memory is 2000000000, but resources.limits.memory is 1Gi.",
        ),
        (
            {
                "resources": {
                    "requests": {"ephemeral-storage": "2G"},
                    "limits": {"ephemeral-storage": "1.5Gi"},
                }
            },
            "resources.requests.ephemeral-storage is 2G, but resources.limits.ephemeral-storage is 1.5Gi.",
        ),
        (
            {"resources": {"requests": {"cpu": "1001m"}}},
            "resources.requests.cpu is 1001m, but resources.limits.cpu is 1. A request must not exceed its"
            " limit.",
        ),
        (
            {"training": {"resources": {"requests": {"memory": "5e9"}}}},
            "training.resources.requests.memory is 5e9, but training.resources.limits.memory is 4Gi.",
        ),
    ],
)
def test_what_kubernetes_would_reject_is_refused_with_a_sentence(values, sentence):
    with pytest.raises(helm_python.HelmError) as refused:
        helm.render(values)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        # The pod has such a volume, mount or container only with other values.
        {
            "extraVolumes": [{"name": "model", "emptyDir": {}}, {"name": "api-keys", "emptyDir": {}}],
            "extraVolumeMounts": [
                {"name": "model", "mountPath": "/models"},
                {"name": "api-keys", "mountPath": "/etc/rust-ml-api"},
                {"name": "tmp", "mountPath": "/tmp/cache"},
            ],
            "extraEnv": [
                {"name": "MODEL_PATH", "value": "/models/a.pt"},
                {"name": "NUM_THREADS", "value": 2},
            ],
            "extraInitContainers": [{"name": "model", "image": "a"}],
        },
        {
            "extraContainers": [
                {
                    "name": name,
                    "image": "a",
                    "env": [{"name": "A", "value": "1"}, {"name": "B"}],
                    "ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}],
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
                for name in ("a", "b")
            ]
        },
    ],
)
def test_names_that_are_free_are_taken(values):
    assert wrong_types(helm.render(values)) == []


@pytest.mark.parametrize(
    ("requests", "limits"),
    [
        ({"cpu": "1000m", "memory": "1024Mi"}, {"cpu": 1, "memory": "1Gi"}),
        ({"cpu": 0.5, "memory": 1_000_000}, {"cpu": "500m", "memory": "1M"}),
        ({"memory": "1e3"}, {"memory": "1k"}),
        ({"memory": "900Mi", "ephemeral-storage": "1G"}, {"memory": "1G", "ephemeral-storage": "1Gi"}),
        ({"memory": "1Ti"}, {}),
    ],
)
def test_a_request_within_its_limit_is_taken(requests, limits):
    # The defaults of the other one are large and small enough.
    assert helm.render(
        {"resources": {"requests": {"cpu": "1m"} | requests, "limits": {"cpu": 9, "memory": "9Ti"} | limits}}
    )


@pytest.mark.parametrize("scaler", ["autoscaling", "keda"])
@pytest.mark.parametrize(
    ("request_", "warned"),
    [
        ("128Mi", True),
        ("240M", True),
        ("0.25Gi", True),
        ("280Mi", True),
        (290 * 2**20, True),
        ("291Mi", False),
        ("306e6", False),
        ("1Gi", False),
    ],
)
def test_a_memory_request_that_idle_pods_exceed_is_warned_of(scaler, request_, warned):
    values = {scaler: {"enabled": True}, "resources": {"requests": {"memory": request_}}}

    notes = helm.render_files(values)["NOTES.txt"]

    assert ("WARNING: resources.requests.memory is " in notes) == warned
    assert "Request 291Mi or more." in notes or not warned


def test_the_warning_names_what_an_idle_pod_uses_of_the_request():
    values = {"autoscaling": {"enabled": True}, "resources": {"requests": {"memory": "128Mi"}}}

    notes = " ".join(helm.render_files(values)["NOTES.txt"].split())

    assert (
        "WARNING: resources.requests.memory is 128Mi. An idle pod uses 180 to 232 MiB, 140 to 181 % of that;"
        " autoscaling.targetMemoryUtilizationPercentage is 80. The autoscaler would add pods that have"
        " nothing to do, up to autoscaling.maxReplicas (10). Request 291Mi or more."
    ) in notes
    comment = " ".join((helm.CHART / "values.yaml").read_text().replace("\n# ", " ").split())
    assert "sees 180 MiB of an idle pod" in comment
    assert "232 MiB of the first one on a node" in comment


@pytest.mark.parametrize("target", [60, 95, 150])
def test_the_request_that_the_warning_names_is_enough(target):
    def notes(request_):
        scaler = {"enabled": True, "targetMemoryUtilizationPercentage": target}
        return helm.render_files({"autoscaling": scaler, "resources": {"requests": {"memory": request_}}})[
            "NOTES.txt"
        ]

    [enough] = re.findall(r"Request (\d+)Mi or more", notes("100Mi"))

    assert "WARNING" not in notes(f"{enough}Mi")
    assert "WARNING" in notes(f"{int(enough) - 1}Mi")


def test_a_memory_request_matters_to_an_autoscaler_that_looks_at_memory_alone():
    values = {"resources": {"requests": {"memory": "128Mi"}}}
    without = {"autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": ""}}

    assert "WARNING" not in helm.render_files(values)["NOTES.txt"]
    assert "WARNING" not in helm.render_files(values | without)["NOTES.txt"]


def test_no_probe_fails_before_a_pod_can_be_ready():
    [container] = helm.find(helm.render(), "Deployment")["spec"]["template"]["spec"]["containers"]

    assert container["startupProbe"]["initialDelaySeconds"] == 3
    assert container["startupProbe"]["failureThreshold"] == 120
