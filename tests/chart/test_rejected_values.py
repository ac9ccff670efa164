"""Wrong values stop an installation with a sentence: one case for each rule of the schema and each check."""

from __future__ import annotations

import json
from typing import Any

import helm_python
import pytest

from tools import helm


def rejection(values: dict[str, Any]) -> str:
    """Return what Helm says when it rejects these values."""
    with pytest.raises(helm_python.HelmError) as rejected:
        helm.render(values)
    return str(rejected.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"terminationGracePeriodSeconds": 25},
            "terminationGracePeriodSeconds is 25, but preStopSleepSeconds (5) plus"
            " settings.shutdownTimeoutSeconds (20) already take 25 s. Kubernetes would kill pods that are"
            " still answering requests. Set terminationGracePeriodSeconds above 25.",
        ),
        (
            {"settings": {"maxBatchSize": 64, "maxQueueSize": 32}},
            "settings.maxBatchSize is 64, but settings.maxQueueSize is 32: a batch could never reach its"
            " maximum size. Raise settings.maxQueueSize or lower settings.maxBatchSize.",
        ),
        (
            {"model": {"existingConfigMap": "a", "existingClaim": "b"}},
            "model.existingConfigMap and model.existingClaim are set, but a pod serves a single weights file."
            " Set only one of them.",
        ),
        (
            {"model": {"existingClaim": "b", "url": "http://c"}},
            "model.existingClaim and model.url are set, but a pod serves a single weights file."
            " Set only one of them.",
        ),
        (
            {"canary": {"enabled": True, "model": {"existingClaim": "b", "url": "http://c"}}},
            "canary.model.existingClaim and canary.model.url are set, but a pod serves a single weights file."
            " Set only one of them.",
        ),
        (
            {"canary": {"enabled": True, "weight": 0}},
            "canary.weight is 0, but httpRoute.enabled is false: only an HTTPRoute can divide requests by"
            " weight. Set httpRoute.enabled, or leave canary.weight empty and set canary.replicas.",
        ),
        (
            {"canary": {"enabled": True}, "podLabels": {"track": "blue"}},
            "podLabels has track, by which the chart tells the canary's pods apart while canary.enabled is"
            " true. Remove it.",
        ),
        (
            {"training": {"enabled": True}},
            "training.enabled is true, but model.existingClaim is empty: the Job needs a"
            " PersistentVolumeClaim to write the weights to. Set model.existingClaim.",
        ),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}},
            "autoscaling.minReplicas is 5, but autoscaling.maxReplicas is 4."
            " The minimum must not exceed the maximum.",
        ),
        (
            {"keda": {"enabled": True}, "autoscaling": {"minReplicas": 5, "maxReplicas": 4}},
            "autoscaling.minReplicas is 5, but autoscaling.maxReplicas is 4."
            " The minimum must not exceed the maximum.",
        ),
        (
            {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}},
            "autoscaling.targetCPUUtilizationPercentage is a percentage of resources.requests.cpu,"
            " which is not set. Set the request, or set the target to an empty string.",
        ),
        (
            {"autoscaling": {"enabled": True}, "resources": {"requests": {"memory": None}}},
            "autoscaling.targetMemoryUtilizationPercentage is a percentage of resources.requests.memory,"
            " which is not set. Set the request, or set the target to an empty string.",
        ),
        (
            {
                "autoscaling": {
                    "enabled": True,
                    "targetCPUUtilizationPercentage": "",
                    "targetMemoryUtilizationPercentage": "",
                }
            },
            "autoscaling.enabled is true, but no metric is set to scale on."
            " Set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage, targetQueueDepth or"
            " extraMetrics under autoscaling.",
        ),
        (
            {
                "keda": {"enabled": True},
                "autoscaling": {
                    "targetCPUUtilizationPercentage": "",
                    "targetMemoryUtilizationPercentage": "",
                },
            },
            "keda.enabled is true, but no trigger is set to scale on. Set keda.prometheus.serverAddress,"
            " keda.extraTriggers or a target under autoscaling.",
        ),
        (
            {"autoscaling": {"enabled": True}, "keda": {"enabled": True}},
            "autoscaling.enabled and keda.enabled are both true: two autoscalers would scale the same"
            " Deployment. KEDA creates its own HorizontalPodAutoscaler, so set autoscaling.enabled to false.",
        ),
        (
            {"podDisruptionBudget": {"minAvailable": 2}},
            "podDisruptionBudget.minAvailable is 2, but the release may have only 2 replicas: no node could"
            " ever be drained. Lower podDisruptionBudget.minAvailable, or use maxUnavailable.",
        ),
        (
            {"service": {"type": "ClusterIP", "nodePort": 30080}},
            "service.nodePort is 30080, but service.type is ClusterIP, which has no node port."
            " Set service.type to NodePort or LoadBalancer.",
        ),
        (
            {"httpRoute": {"enabled": True}},
            "httpRoute.enabled is true, but httpRoute.parentRefs is empty: an HTTPRoute needs a Gateway."
            " Set httpRoute.parentRefs.",
        ),
        (
            {"ingress": {"enabled": True, "hosts": []}},
            "ingress.enabled is true, but ingress.hosts is empty. Set at least one host with its paths.",
        ),
    ],
)
def test_contradicting_values_are_rejected_with_a_sentence(values, sentence):
    said = " ".join(rejection(values).split())

    assert sentence in said


@pytest.mark.parametrize("workers", [0, 1, 2, "auto"])
def test_a_number_of_workers_is_rejected_with_what_to_set_instead(workers):
    said = rejection({"settings": {"workers": workers}})

    assert (
        f"settings.workers is {workers}, but this setting no longer exists: each pod runs one process."
        " Remove it, and set replicaCount or autoscaling for more processes."
    ) in said


@pytest.mark.parametrize("workers", ["", None], ids=repr)
def test_the_empty_default_of_workers_is_ignored(workers):
    # An earlier release's values hold it, and `helm upgrade --reuse-values` passes them on.
    assert helm.render({"settings": {"workers": workers}}) == helm.render()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 3}, "at '': additional properties 'replicas' not allowed"),
        ({"replicaCount": "two"}, "at '/replicaCount': got string, want integer"),
        ({"replicaCount": -1}, "at '/replicaCount': minimum: got -1, want 0"),
        ({"maxSurge": 0}, "at '/maxSurge': minimum: got 0, want 1"),
        ({"revisionHistoryLimit": -1}, "at '/revisionHistoryLimit': minimum"),
        ({"nameOverride": "Digits!"}, "at '/nameOverride': 'Digits!' does not match pattern"),
        ({"fullnameOverride": "1st"}, "at '/fullnameOverride': '1st' does not match pattern"),
        ({"commonLabels": {"a": 1}}, "at '/commonLabels/a': got number, want string"),
        ({"image": {"tags": "1"}}, "at '/image': additional properties 'tags' not allowed"),
        ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
        ({"image": {"tag": "a b"}}, "at '/image/tag': 'a b' does not match pattern"),
        ({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match pattern"),
        ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
        ({"image": {"pullSecrets": [{}]}}, "at '/image/pullSecrets/0': missing property 'name'"),
        ({"model": {"configMap": "a"}}, "at '/model': additional properties 'configMap' not allowed"),
        (
            {"model": {"existingConfigMap": "A_b"}},
            "at '/model/existingConfigMap': 'A_b' does not match pattern",
        ),
        ({"model": {"existingClaim": "A_b"}}, "at '/model/existingClaim': 'A_b' does not match pattern"),
        ({"model": {"url": "file:///etc"}}, "at '/model/url': 'file:///etc' does not match pattern"),
        *(
            ({"model": {"image": wrong}}, f"at '/model/image': '{wrong}' does not match pattern")
            for wrong in ("oci://a.example/b:1", "https://a.example/b", "a b", "a.example/B:1", "a@sha256:12")
        ),
        ({"model": {"file": "../x.pt"}}, "at '/model/file': '../x.pt' does not match pattern"),
        ({"model": {"sha256": "abc"}}, "at '/model/sha256': 'abc' does not match pattern"),
        ({"model": {"version": 1.1}}, "at '/model/version': got number, want integer or"),
        ({"image": {"tag": 1.1}}, "at '/image/tag': got number, want integer or"),
        ({"canary": {"replicas": -1}}, "at '/canary/replicas': minimum: got -1, want 0"),
        ({"canary": {"weight": 101}}, "at '/canary/weight': maximum: got 101, want 100"),
        ({"canary": {"image": {"tag": "a b"}}}, "at '/canary/image/tag': 'a b' does not match pattern"),
        ({"canary": {"model": {"sha256": "abc"}}}, "at '/canary/model/sha256': 'abc' does not match pattern"),
        ({"settings": {"batchSize": 2}}, "at '/settings': additional properties 'batchSize' not allowed"),
        ({"settings": {"host": ""}}, "at '/settings/host': minLength: got 0, want 1"),
        ({"settings": {"numThreads": 0}}, "at '/settings/numThreads': minimum: got 0, want 1"),
        ({"settings": {"maxBatchSize": 0}}, "at '/settings/maxBatchSize': minimum: got 0, want 1"),
        ({"settings": {"maxQueueSize": 0}}, "at '/settings/maxQueueSize': minimum: got 0, want 1"),
        ({"settings": {"queueTimeoutSeconds": 0}}, "at '/settings/queueTimeoutSeconds': minimum: got 0"),
        ({"settings": {"stallTimeoutSeconds": 0}}, "at '/settings/stallTimeoutSeconds': minimum: got 0"),
        (
            {"settings": {"maxImagesPerRequest": 0}},
            "at '/settings/maxImagesPerRequest': minimum: got 0, want 1",
        ),
        ({"settings": {"maxPicturePixels": 1}}, "at '/settings/maxPicturePixels': minimum: got 1"),
        ({"settings": {"maxBodyBytes": 1}}, "at '/settings/maxBodyBytes': minimum: got 1, want 1,024"),
        (
            {"settings": {"keepAliveSeconds": 0.5}},
            "at '/settings/keepAliveSeconds': got number, want integer",
        ),
        ({"settings": {"shutdownTimeoutSeconds": 0}}, "at '/settings/shutdownTimeoutSeconds': minimum"),
        ({"settings": {"reloadIntervalSeconds": 0}}, "at '/settings/reloadIntervalSeconds': minimum: got 0"),
        ({"settings": {"logLevel": "loud"}}, "at '/settings/logLevel': value must be one of"),
        ({"settings": {"accessLogSample": 2}}, "at '/settings/accessLogSample': maximum: got 2, want 1"),
        ({"settings": {"logFormat": "xml"}}, "at '/settings/logFormat': value must be one of"),
        (
            {"apiKeys": {"existingSecret": "A_b"}},
            "at '/apiKeys/existingSecret': 'A_b' does not match pattern",
        ),
        ({"apiKeys": {"key": "a/b"}}, "at '/apiKeys/key': 'a/b' does not match pattern"),
        ({"extraEnv": [{"value": "a"}]}, "at '/extraEnv/0': missing property 'name'"),
        ({"extraEnv": {"A": "b"}}, "at '/extraEnv': got object, want array"),
        ({"extraEnvFrom": ["a"]}, "at '/extraEnvFrom/0': got string, want object"),
        ({"resources": {"request": {}}}, "at '/resources': additional properties 'request' not allowed"),
        ({"resources": {"limits": {"memory": "1GB"}}}, "at '/resources/limits/memory': '1GB' does not match"),
        ({"resources": {"requests": {"cpu": 0}}}, "at '/resources/requests/cpu': exclusiveMinimum: got 0"),
        ({"startupProbe": {"period": 1}}, "at '/startupProbe': additional properties 'period' not allowed"),
        (
            {"readinessProbe": {"periodSeconds": 0}},
            "at '/readinessProbe/periodSeconds': minimum: got 0, want 1",
        ),
        ({"livenessProbe": {"timeoutSeconds": "5s"}}, "at '/livenessProbe/timeoutSeconds': got string"),
        ({"preStopSleepSeconds": 5.5}, "at '/preStopSleepSeconds': got number, want integer"),
        ({"terminationGracePeriodSeconds": 0}, "at '/terminationGracePeriodSeconds': minimum: got 0, want 1"),
        ({"serviceAccount": {"create": "yes"}}, "at '/serviceAccount/create': got string, want boolean"),
        ({"serviceAccount": {"name": "A_b"}}, "at '/serviceAccount/name': 'A_b' does not match pattern"),
        ({"podSecurityContext": []}, "at '/podSecurityContext': got array, want object"),
        ({"securityContext": []}, "at '/securityContext': got array, want object"),
        ({"podAnnotations": {"a": True}}, "at '/podAnnotations/a': got boolean, want string"),
        ({"podLabels": {"a": 1}}, "at '/podLabels/a': got number, want string"),
        ({"scrapeAnnotations": "yes"}, "at '/scrapeAnnotations': got string, want boolean"),
        ({"priorityClassName": "High!"}, "at '/priorityClassName': 'High!' does not match pattern"),
        ({"nodeSelector": {"a": True}}, "at '/nodeSelector/a': got boolean, want string"),
        ({"tolerations": {}}, "at '/tolerations': got object, want array"),
        ({"affinity": []}, "at '/affinity': got array, want object"),
        (
            {"topologySpreadConstraints": [{}]},
            "at '/topologySpreadConstraints/0': missing properties 'maxSkew'",
        ),
        ({"extraVolumes": {}}, "at '/extraVolumes': got object, want array"),
        ({"extraVolumeMounts": {}}, "at '/extraVolumeMounts': got object, want array"),
        ({"extraInitContainers": {}}, "at '/extraInitContainers': got object, want array"),
        ({"extraContainers": {}}, "at '/extraContainers': got object, want array"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "at '/podDisruptionBudget/maxUnavailable': minimum"),
        ({"podDisruptionBudget": {"minAvailable": "100%"}}, "'100%' does not match pattern"),
        ({"autoscaling": {"enable": True}}, "at '/autoscaling': additional properties 'enable' not allowed"),
        ({"autoscaling": {"minReplicas": 0}}, "at '/autoscaling/minReplicas': minimum: got 0, want 1"),
        ({"autoscaling": {"maxReplicas": 0}}, "at '/autoscaling/maxReplicas': minimum: got 0, want 1"),
        (
            {"autoscaling": {"targetCPUUtilizationPercentage": 0}},
            "at '/autoscaling/targetCPUUtilizationPercentage': minimum: got 0, want 1",
        ),
        (
            {"autoscaling": {"targetMemoryUtilizationPercentage": "80%"}},
            "at '/autoscaling/targetMemoryUtilizationPercentage': got string, want integer",
        ),
        (
            {"autoscaling": {"targetQueueDepth": "many"}},
            "at '/autoscaling/targetQueueDepth': 'many' does not",
        ),
        ({"autoscaling": {"extraMetrics": {}}}, "at '/autoscaling/extraMetrics': got object, want array"),
        (
            {"autoscaling": {"behavior": {"scaleUp": {"selectPolicy": "Most"}}}},
            "at '/autoscaling/behavior/scaleUp/selectPolicy': value must be one of",
        ),
        (
            {"autoscaling": {"behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1}]}}}},
            "at '/autoscaling/behavior/scaleDown/policies/0': missing property 'periodSeconds'",
        ),
        ({"keda": {"pollingInterval": 0}}, "at '/keda/pollingInterval': minimum: got 0, want 1"),
        (
            {"keda": {"prometheus": {"serverAddress": "prom:9090"}}},
            "at '/keda/prometheus/serverAddress': 'prom",
        ),
        (
            {"keda": {"prometheus": {"targetQueueDepth": 0}}},
            "at '/keda/prometheus/targetQueueDepth': minimum",
        ),
        ({"keda": {"extraTriggers": {}}}, "at '/keda/extraTriggers': got object, want array"),
        ({"service": {"type": "ExternalName"}}, "at '/service/type': value must be one of"),
        ({"service": {"port": 0}}, "at '/service/port': minimum: got 0, want 1"),
        ({"service": {"nodePort": 70000}}, "at '/service/nodePort': maximum: got 70,000, want 65,535"),
        (
            {"service": {"externalTrafficPolicy": "Here"}},
            "at '/service/externalTrafficPolicy': value must be one",
        ),
        (
            {"service": {"trafficDistribution": "Near"}},
            "at '/service/trafficDistribution': value must be one",
        ),
        ({"service": {"loadBalancerClass": 1}}, "at '/service/loadBalancerClass': got number, want string"),
        (
            {"service": {"loadBalancerSourceRanges": ["me"]}},
            "at '/service/loadBalancerSourceRanges/0': 'me' does",
        ),
        ({"ingress": {"className": "Nginx!"}}, "at '/ingress/className': 'Nginx!' does not match pattern"),
        ({"ingress": {"hosts": [{"host": "a"}]}}, "at '/ingress/hosts/0': missing property 'paths'"),
        ({"ingress": {"hosts": [{"paths": []}]}}, "at '/ingress/hosts/0/paths': minItems: got 0, want 1"),
        (
            {"ingress": {"hosts": [{"paths": [{"path": "x", "pathType": "Prefix"}]}]}},
            "at '/ingress/hosts/0/paths/0/path': 'x' does not match pattern",
        ),
        (
            {"ingress": {"hosts": [{"paths": [{"path": "/", "pathType": "Regex"}]}]}},
            "at '/ingress/hosts/0/paths/0/pathType': value must be one of",
        ),
        ({"kserve": {"priority": 0}}, "at '/kserve/priority': minimum: got 0, want 1"),
        ({"kserve": {"autoSelect": "yes"}}, "at '/kserve/autoSelect': got string, want boolean"),
        ({"httpRoute": {"parentRefs": [{}]}}, "at '/httpRoute/parentRefs/0': missing property 'name'"),
        ({"httpRoute": {"hostnames": [""]}}, "at '/httpRoute/hostnames/0': minLength: got 0, want 1"),
        ({"httpRoute": {"matches": {}}}, "at '/httpRoute/matches': got object, want array"),
        ({"httpRoute": {"filters": {}}}, "at '/httpRoute/filters': got object, want array"),
        (
            {"httpRoute": {"timeouts": {"request": 10}}},
            "at '/httpRoute/timeouts/request': got number, want string",
        ),
        ({"networkPolicy": {"from": {}}}, "at '/networkPolicy/from': got object, want array"),
        (
            {"tracing": {"endpoint": "collector:4318"}},
            "at '/tracing/endpoint': 'collector:4318' does not match pattern",
        ),
        ({"tracing": {"samplerRatio": 2}}, "at '/tracing/samplerRatio': maximum"),
        ({"networkPolicy": {"extraEgress": {}}}, "at '/networkPolicy/extraEgress': got object, want array"),
        (
            {"serviceMonitor": {"interval": "15"}},
            "at '/serviceMonitor/interval': '15' does not match pattern",
        ),
        (
            {"serviceMonitor": {"scrapeTimeout": 5}},
            "at '/serviceMonitor/scrapeTimeout': got number, want string",
        ),
        (
            {"prometheusRule": {"maxErrorRatio": 2}},
            "at '/prometheusRule/maxErrorRatio': maximum: got 2, want 1",
        ),
        ({"prometheusRule": {"maxP99Seconds": "1s"}}, "at '/prometheusRule/maxP99Seconds': got string"),
        (
            {"prometheusRule": {"maxQueueWaitSeconds": -1}},
            "at '/prometheusRule/maxQueueWaitSeconds': minimum",
        ),
        ({"prometheusRule": {"extraRules": {}}}, "at '/prometheusRule/extraRules': got object, want array"),
        (
            {"grafanaDashboard": {"labels": {"a": 1}}},
            "at '/grafanaDashboard/labels/a': got number, want string",
        ),
        (
            {"training": {"args": ["--epochs", {}]}},
            "/training/args/1': got object, want boolean or number or",
        ),
        ({"training": {"image": 1}}, "at '/training/image': got number, want string"),
        ({"training": {"nodes": 0}}, "at '/training/nodes': minimum: got 0, want 1"),
        ({"training": {"nodes": 101}}, "at '/training/nodes': maximum: got 101, want 100"),
        (
            {"training": {"engine": "pytorchjob"}},
            "at '/training/engine': value must be one of 'job', 'trainjob'",
        ),
        (
            {"training": {"trainJob": {"runtimeRef": {"kind": "Runtime"}}}},
            "at '/training/trainJob/runtimeRef/kind': value must be one of 'ClusterTrainingRuntime',",
        ),
        (
            {"training": {"existingDataClaim": "A_b"}},
            "at '/training/existingDataClaim': 'A_b' does not match",
        ),
        ({"training": {"minAccuracy": 98}}, "at '/training/minAccuracy': maximum: got 98, want 1"),
        ({"training": {"maxDrop": ""}}, "at '/training/maxDrop': got string, want number"),
        ({"training": {"backoffLimit": -1}}, "at '/training/backoffLimit': minimum: got -1, want 0"),
        ({"training": {"activeDeadlineSeconds": 0}}, "at '/training/activeDeadlineSeconds': minimum: got 0"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_wrong_value_is_rejected_by_name(values, said):
    assert said in rejection(values)


def test_every_property_of_the_schema_has_a_rejected_case():
    schema = json.loads((helm.CHART / "values.schema.json").read_text())
    [mark] = test_a_wrong_value_is_rejected_by_name.pytestmark
    refused = {top for values, _ in mark.args[1] for top in values}

    # Helm itself fills `global` in, and it takes any object.
    assert set(schema["properties"]) - {"global"} <= refused


def test_every_object_in_the_schema_rejects_unknown_keys():
    def objects(node: Any) -> Any:
        if isinstance(node, dict):
            if "properties" in node:
                yield node
            for child in node.values():
                yield from objects(child)
        elif isinstance(node, list):
            for child in node:
                yield from objects(child)

    schema = json.loads((helm.CHART / "values.schema.json").read_text())
    assert all(node["additionalProperties"] is False for node in objects(schema["properties"]))


def test_every_default_is_in_the_schema_and_the_other_way_round():
    def keys(node: Any, defaults: Any) -> None:
        if "properties" not in node or not defaults:
            return
        # Helm fills `global` in, `tolerance` has no default, and `workers` is there only to be refused.
        assert set(defaults) == set(node["properties"]) - {"global", "tolerance", "workers"}
        for name, default in defaults.items():
            keys(node["properties"][name], default)

    keys(
        json.loads((helm.CHART / "values.schema.json").read_text()),
        helm.read_values(helm.CHART / "values.yaml"),
    )
