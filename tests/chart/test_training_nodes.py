"""Pods that train together: the Indexed Job and its network, and the TrainJob of Kubeflow Trainer."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import helm_python
import jsonschema
import pytest
from torch.distributed import run

from tests.support.cluster_api import ClusterApi
from tests.support.paths import DATA
from tests.support.schemas import strict
from tools import helm
from training.options import parse

SCHEMA = json.loads((DATA / "kubeflow" / "trainjob-v1alpha1.json").read_text())
NODES = helm.read_values(helm.CHART / "ci" / "training-nodes-values.yaml")
TRAINJOB = helm.read_values(helm.CHART / "ci" / "training-trainjob-values.yaml")
CLAIM = {"model": {"existingClaim": "weights"}}


def training(**values: Any) -> dict[str, Any]:
    return {**CLAIM, "training": {"enabled": True, **values}}


def find(values, kind, **options):
    """The object of this kind that is about training."""
    labelled = [
        each
        for each in helm.render(values, **options)
        if each["metadata"]["labels"]["app.kubernetes.io/name"].endswith("-training")
    ]
    return helm.find(labelled, kind)


def container_of(job):
    [container] = job["spec"]["template"]["spec"]["containers"]
    return container


def test_one_node_is_a_job_as_before():
    job = find(training(), "Job")

    assert not {"completionMode", "completions", "parallelism", "successPolicy"} & set(job["spec"])
    assert not {"subdomain", "topologySpreadConstraints"} & set(job["spec"]["template"]["spec"])
    assert container_of(job)["command"][:3] == ["python", "-m", "training"]
    assert job["spec"]["backoffLimit"] == 1
    # Values that count for several nodes alone give it no other name, with which it would train anew.
    assert find(training(trainJob={"runtimeRef": {"name": "torch-cpu"}}), "Job") == job
    assert find(training(nodes=1, engine="job"), "Job") == job
    assert {each["kind"] for each in helm.render(training())} & {"TrainJob", "NetworkPolicy"} == set()
    assert len([each for each in helm.render(training()) if each["kind"] == "Service"]) == 1


def test_each_node_is_an_index_of_one_job():
    job = find(NODES, "Job")
    name = job["metadata"]["name"]
    pod = job["spec"]["template"]["spec"]

    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    assert pod["restartPolicy"] == "Never"
    [spread] = pod["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (
        "kubernetes.io/hostname",
        "ScheduleAnyway",
    )
    assert spread["labelSelector"]["matchLabels"] == {"batch.kubernetes.io/job-name": name}
    # One pod that fails may take the two others with it, and backoffLimit is 2.
    assert job["spec"]["backoffLimit"] == 6


def test_a_lost_pod_does_not_wait_for_those_that_are_done():
    """From Kubernetes 1.31 on the Job can end with its first pod, which ends last."""
    assert find(NODES, "Job")["spec"]["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    assert "successPolicy" not in find(NODES, "Job", kube_version="1.30.0")["spec"]


def test_the_pods_have_host_names():
    job, service = find(NODES, "Job"), find(NODES, "Service")
    name = job["metadata"]["name"]

    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"] == name
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    [port] = container_of(job)["ports"]
    assert (port["name"], port["containerPort"]) == (service["spec"]["ports"][0]["targetPort"], 29400)


@pytest.mark.parametrize("engine", ["job", "trainjob"])
def test_host_names_are_not_too_long(engine):
    values = training(nodes=100, engine=engine)
    name = find(values, {"job": "Job", "trainjob": "TrainJob"}[engine], name="r" * 53)["metadata"]["name"]

    # What the two controllers append to it for the last pod.
    assert len(name + {"job": "-99", "trainjob": "-node-0-99"}[engine]) <= 63


def test_releases_with_names_that_begin_alike_have_jobs_of_their_own():
    first, second = (find(NODES, "Job", name="r" * 45 + end)["metadata"]["name"] for end in "ab")

    assert first != second


def rendezvous(words, variables):
    """The options for torchrun's agent and for the training in a command."""
    for name, value in variables.items():
        words = [word.replace(f"$({name})", value) for word in words]
    assert words[:3] == ["python", "-m", "training.elastic"]
    options = run.parse_args(words[3:])
    assert (options.module, options.training_script) == (True, "training")
    return options, parse(options.training_script_args)


def test_the_agents_meet_at_the_first_pod():
    job = find(NODES, "Job")
    name = job["metadata"]["name"]
    container = container_of(job)
    options, own = rendezvous([*container["command"], *container["args"]], {"CPU_LIMIT": "1"})

    assert (options.nnodes, options.nproc_per_node, options.rdzv_backend) == ("3", "1", "c10d")
    assert options.rdzv_endpoint == f"{name}-0.{name}:29400"
    assert options.rdzv_id == name
    assert options.max_restarts == 3
    assert (own.resume, own.epochs, own.threads) == (True, 4, 1)
    assert str(own.out) == f"/models/training/{name.rpartition('-')[2]}"
    assert str(own.publish) == "/models/mnist_cnn.pt"


def test_weights_that_were_refused_are_not_trained_again_by_any_pod():
    rules = find(NODES, "Job")["spec"]["podFailurePolicy"]["rules"]

    assert [rule["action"] for rule in rules] == ["FailJob", "Ignore"]
    assert find(training(), "Job")["spec"]["podFailurePolicy"]["rules"] == rules


def test_a_network_policy_lets_the_pods_reach_each_other_and_the_data():
    policy = find(NODES, "NetworkPolicy")
    labels = find(NODES, "Job")["spec"]["template"]["metadata"]["labels"]
    peers = [{"podSelector": policy["spec"]["podSelector"]}]
    download = find({**NODES, "training": {**NODES["training"], "existingDataClaim": ""}}, "NetworkPolicy")

    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["spec"]["ingress"] == [{"from": peers}]
    to_peers, names, extra = policy["spec"]["egress"]
    assert to_peers == {"to": peers}
    assert {each["port"] for each in names["ports"]} == {53}
    assert extra == NODES["networkPolicy"]["extraEgress"][0]
    assert {each["port"] for each in download["spec"]["egress"][1]["ports"]} == {53, 80, 443}
    serving = [each for each in helm.render(NODES) if each["kind"] == "NetworkPolicy" and each != policy]
    [serving] = serving
    assert not serving["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def claim(*modes: str) -> ClusterApi:
    """A cluster in which the claim has these access modes."""
    found = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "weights"}}
    return ClusterApi([found | {"spec": {"accessModes": list(modes)}}])


def notes(cluster: ClusterApi, values: dict[str, Any]) -> str:
    """What an installation on this cluster says."""
    with cluster as address, helm_python.Chart.load(helm.CHART) as chart:
        config = helm_python.Config(kube_apiserver=address, namespace="default")
        files = config.render(chart, values, name="rust-ml-api", namespace="default")
    return str(files["rust-ml-api/templates/NOTES.txt"])


def test_several_nodes_need_a_claim_that_all_can_mount():
    assert "WARNING" not in notes(claim("ReadWriteOnce", "ReadWriteMany"), training(nodes=2))
    assert "WARNING" not in notes(claim("ReadWriteOnce"), training())
    assert "WARNING" not in notes(ClusterApi([]), training(nodes=2))
    warning = notes(claim("ReadWriteOnce", "ReadOnlyMany"), training(nodes=2))
    assert "weights, has the access mode ReadWriteOnce and ReadOnlyMany" in warning
    for mode in ("ReadWriteOncePod", "ReadOnlyMany"):
        sentence = f"training.nodes is 2, but model.existingClaim, weights, has the access mode {mode}:"
        with pytest.raises(helm_python.HelmError, match=sentence):
            notes(claim(mode), training(nodes=2))


def validate(found):
    jsonschema.validate({**found, "metadata": {}}, strict(SCHEMA))


@pytest.mark.parametrize(
    "values",
    [
        TRAINJOB,
        training(engine="trainjob"),
        helm.read_values(helm.CHART / "ci" / "everything-values.yaml") | training(engine="trainjob", nodes=2),
    ],
    ids=["runtime", "default", "everything"],
)
def test_a_trainjob_fits_the_schema_of_kubeflow_trainer(values):
    objects = helm.render(values)
    [found] = [each for each in objects if each["kind"] == "TrainJob"]

    validate(found)
    assert not [each for each in objects if each["kind"] == "Job"]


def pod_of(trainjob):
    [patch] = trainjob["spec"]["runtimePatches"]
    [node] = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert node["name"] == "node"
    return node["template"]["spec"]["template"]


@pytest.mark.parametrize("place", ["spec", "trainer", "pod", "container"])
def test_the_schema_refuses_what_kubeflow_trainer_does_not_know(place):
    found = deepcopy(find(TRAINJOB, "TrainJob"))
    pod = pod_of(found)["spec"]
    places = {"spec": found["spec"], "trainer": found["spec"]["trainer"], "pod": pod}
    {**places, "container": pod["containers"][0]}[place]["imagge"] = "a"

    with pytest.raises(jsonschema.ValidationError, match="'imagge' was unexpected"):
        validate(found)


def test_a_trainjob_runs_the_same_training(monkeypatch):
    """The runtime's policy for PyTorch sets the variables (pkg/runtime/framework/plugins/torch)."""
    for name, value in {"NNODES": "3", "NPROC_PER_NODE": "1", "NODE_RANK": "1"}.items():
        monkeypatch.setenv(f"PET_{name}", value)
    monkeypatch.setenv("PET_MASTER_ADDR", "run-node-0-0.run")
    monkeypatch.setenv("PET_MASTER_PORT", "29500")
    found = find(TRAINJOB, "TrainJob")
    trainer = found["spec"]["trainer"]
    words = [*trainer["command"], *trainer["args"]]
    given = {"PET_MASTER_ADDR": "run-node-0-0.run", "PET_MASTER_PORT": "29500", "CPU_LIMIT": "1"}
    options, own = rendezvous(words, given)
    same = find({**TRAINJOB, "training": {**TRAINJOB["training"], "engine": "job"}}, "Job")

    assert found["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": "torch-cpu",
    }
    assert (trainer["numNodes"], trainer["numProcPerNode"], options.nnodes) == (3, 1, "3")
    config, _, _ = run.config_from_args(options)
    assert (config.rdzv_backend, config.rdzv_endpoint) == ("c10d", "run-node-0-0.run:29500")
    assert (config.min_nodes, config.max_nodes, config.nproc_per_node) == (3, 3, 1)
    assert (own.resume, own.epochs) == (True, 4)
    assert trainer["image"] == container_of(same)["image"]
    assert trainer["resourcesPerNode"] == container_of(same)["resources"]
    assert found["spec"]["activeDeadlineSeconds"] == same["spec"]["activeDeadlineSeconds"]
    limit = next(each for each in trainer["env"] if each["name"] == "CPU_LIMIT")
    assert limit["valueFrom"]["resourceFieldRef"]["containerName"] == "node"
    # Kubeflow Trainer refuses these (constants.TorchRunReservedEnvNames).
    assert not [each["name"] for each in trainer["env"] if each["name"].startswith("PET_")]


def test_the_pods_of_a_trainjob_are_as_restricted_as_those_of_the_job():
    patched = pod_of(find(TRAINJOB, "TrainJob"))
    same = find({**TRAINJOB, "training": {**TRAINJOB["training"], "engine": "job"}}, "Job")["spec"][
        "template"
    ]
    [container] = patched["spec"]["containers"]

    assert container["name"] == "node"
    for key in ("securityContext", "volumeMounts"):
        assert container[key] == same["spec"]["containers"][0][key]
    for key in (
        "imagePullSecrets",
        "nodeSelector",
        "securityContext",
        "serviceAccountName",
        "tolerations",
        "volumes",
    ):
        assert patched["spec"][key] == same["spec"][key]
    assert patched["metadata"]["annotations"] == same["metadata"]["annotations"]
    selector = find(TRAINJOB, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= patched["metadata"]["labels"].items()


def test_a_trainjob_names_its_runtime():
    assert find(training(engine="trainjob"), "TrainJob")["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "ClusterTrainingRuntime",
        "name": "torch-distributed",
    }
