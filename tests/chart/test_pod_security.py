"""The Pod Security Standard "restricted", field by field, for every pod of every values file."""

from __future__ import annotations

import pytest

from tools import helm

ci_values = pytest.mark.parametrize("file", helm.CI_VALUES, ids=lambda file: file.stem)
ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def pods(file):
    """Yield the pod specs of a release: of its Deployment, its Job and its test."""
    for each in helm.render(helm.read_values(file)):
        if each["kind"] == "Pod":
            yield each["spec"]
        elif each["kind"] in ("Deployment", "Job"):
            yield each["spec"]["template"]["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


@ci_values
def test_no_pod_uses_its_nodes_namespaces_ports_or_paths(file):
    for pod in pods(file):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= ALLOWED_VOLUMES
        for container in containers(pod):
            assert not any("hostPort" in port for port in container.get("ports", []))


@ci_values
def test_every_pod_runs_as_an_unprivileged_numeric_user_and_group(file):
    for pod in pods(file):
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for container in containers(pod):
            assert container["securityContext"].get("runAsUser", 10001) != 0
            assert container["securityContext"].get("runAsNonRoot", True) is True


@ci_values
def test_no_container_can_gain_privileges_or_write_to_its_root_file_system(file):
    for pod in pods(file):
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert not {"privileged", "procMount", "seLinuxOptions", "windowsOptions"} & set(context)


@ci_values
def test_no_pod_mounts_a_service_account_token(file):
    for pod in pods(file):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
    for each in helm.render(helm.read_values(file)):
        if each["kind"] == "ServiceAccount":
            assert each["automountServiceAccountToken"] is False


@ci_values
def test_every_container_can_write_to_tmp_and_mounts_the_weights_read_only(file):
    for pod in pods(file):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
            if container["name"] == "sidecar":
                continue
            assert "emptyDir" in volumes[mounts["/tmp"]["name"]]
            if "/models" in mounts and container["name"] != "training":
                assert mounts["/models"]["readOnly"] is True


TEST_POD = {"app.kubernetes.io/name": "rust-ml-api-test", "app.kubernetes.io/instance": "rust-ml-api"}


def policy(file):
    return helm.find(helm.render(helm.read_values(helm.CHART / "ci" / file)), "NetworkPolicy")["spec"]


def test_a_network_policy_allows_only_the_configured_ingress_and_egress():
    spec = policy("locked-down-values.yaml")

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [
        {
            "ports": [{"port": 3000, "protocol": "TCP"}],
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}},
                {"podSelector": {"matchLabels": TEST_POD}},
            ],
        }
    ]
    assert spec["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"port": 4317, "protocol": "TCP"}]}
    ]


def test_the_network_policy_selects_the_pod_of_helm_test():
    labels = helm.find(helm.render(), "Pod")["metadata"]["labels"]

    assert TEST_POD.items() <= labels.items()


def test_a_network_policy_lets_traces_out():
    values = {
        "networkPolicy": {"enabled": True},
        "model": {"url": "https://models.example.com/m.pt"},
        "tracing": {"endpoint": "http://collector:4318"},
    }

    [rule] = helm.find(helm.render(values), "NetworkPolicy")["spec"]["egress"]

    assert [each["port"] for each in rule["ports"]] == [53, 53, 443, 4318]


def test_a_network_policy_allows_no_egress_by_default():
    policies = helm.find(helm.render({"networkPolicy": {"enabled": True}}), "NetworkPolicy")

    assert policies["spec"]["egress"] == []


@pytest.mark.parametrize(
    ("url", "port"),
    [("https://a.example/m.pt", 443), ("http://a.example/m.pt", 80), ("http://a.example:81/m", 81)],
)
def test_a_network_policy_allows_the_download_of_the_weights(url, port):
    values = {"networkPolicy": {"enabled": True}, "model": {"url": url}}

    [rule] = helm.find(helm.render(values), "NetworkPolicy")["spec"]["egress"]

    assert rule["ports"] == [
        {"port": 53, "protocol": "UDP"},
        {"port": 53, "protocol": "TCP"},
        {"port": port, "protocol": "TCP"},
    ]
