"""Optional objects and fields, one by one, as no schema here checks the custom resources among them."""

from __future__ import annotations

import pytest

from tools import helm


def objects(name):
    return helm.render(helm.read_values(helm.CHART / "ci" / f"{name}-values.yaml"))


def test_the_route_sends_a_gateways_requests_to_the_service():
    route = helm.find(objects("gateway"), "HTTPRoute")

    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["metadata"]["annotations"] == {"example.com/owner": "vision"}
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["classifier.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": [
                    {
                        "type": "ResponseHeaderModifier",
                        "responseHeaderModifier": {
                            "set": [{"name": "Strict-Transport-Security", "value": "max-age=31536000"}]
                        },
                    }
                ],
                "backendRefs": [{"name": "rust-ml-api-service", "port": 8080}],
                "timeouts": {"request": "10s", "backendRequest": "5s"},
            }
        ],
    }


def test_the_ingress_sends_its_hosts_to_the_service():
    ingress = helm.find(objects("ingress"), "Ingress")
    backend = {"service": {"name": "rust-ml-api-service", "port": {"name": "http"}}}

    assert ingress["metadata"]["annotations"] == {"nginx.ingress.kubernetes.io/proxy-body-size": "1m"}
    assert ingress["spec"] == {
        "ingressClassName": "nginx",
        "tls": [{"secretName": "classifier-tls", "hosts": ["classifier.example.com"]}],
        "rules": [
            {
                "host": "classifier.example.com",
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            },
            {"http": {"paths": [{"path": "/predict", "pathType": "Exact", "backend": backend}]}},
        ],
    }


def test_keda_scales_the_deployment_under_the_autoscalers_name():
    scaled = helm.find(objects("keda"), "ScaledObject")
    behavior = helm.read_values(helm.CHART / "values.yaml")["autoscaling"]["behavior"]

    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    assert scaled["spec"] == {
        "scaleTargetRef": {"name": "rust-ml-api"},
        "pollingInterval": 15,
        "minReplicaCount": 2,
        "maxReplicaCount": 10,
        "advanced": {"horizontalPodAutoscalerConfig": {"name": "rust-ml-api-hpa", "behavior": behavior}},
        "triggers": [
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}},
            {"type": "memory", "metricType": "Utilization", "metadata": {"value": "80"}},
            {
                "type": "prometheus",
                "metadata": {
                    "serverAddress": "http://prometheus.monitoring:9090",
                    "query": 'sum(inference_queue_depth{namespace="default", job="rust-ml-api-service"})',
                    "threshold": "32",
                },
            },
            {
                "type": "cron",
                "metadata": {
                    "timezone": "Etc/UTC",
                    "start": "0 8 * * *",
                    "end": "0 18 * * *",
                    "desiredReplicas": "4",
                },
            },
        ],
    }


def test_the_autoscaler_takes_any_metric():
    spec = helm.find(objects("autoscaling-custom"), "HorizontalPodAutoscaler")["spec"]

    assert [metric["type"] for metric in spec["metrics"]] == ["Resource", "Pods", "Object"]
    assert spec["metrics"][1]["pods"] == {
        "metric": {"name": "inference_queue_depth"},
        "target": {"type": "AverageValue", "averageValue": "16"},
    }
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert spec["behavior"]["scaleUp"]["policies"] == [
        {"type": "Percent", "value": 100, "periodSeconds": 15},
        {"type": "Pods", "value": 4, "periodSeconds": 15},
    ]


def test_a_load_balancer_can_be_restricted_to_client_addresses():
    spec = helm.find(objects("load-balancer"), "Service")["spec"]

    assert (
        spec.items()
        >= {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "loadBalancerClass": "example.com/internal",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        }.items()
    )
    assert spec["ports"][0]["nodePort"] == 30080


def test_every_addition_to_a_pod_is_rendered():
    deployment = helm.find(objects("everything"), "Deployment")
    template = deployment["spec"]["template"]
    pod, container = template["spec"], template["spec"]["containers"][0]

    assert deployment["metadata"]["labels"]["team"] == template["metadata"]["labels"]["team"] == "vision"
    assert template["metadata"]["annotations"]["example.com/a"] == "1"
    assert template["metadata"]["labels"]["example.com/b"] == "2"
    assert {"name": "TZ", "value": "Etc/UTC"} in container["env"]
    assert container["envFrom"] == [{"configMapRef": {"name": "more", "optional": True}}]
    assert container["imagePullPolicy"] == "Always"
    assert {"name": "scratch", "mountPath": "/scratch"} in container["volumeMounts"]
    assert {"name": "scratch", "emptyDir": {}} in pod["volumes"]
    assert [each["name"] for each in pod["initContainers"]] == ["hello"]
    assert [each["name"] for each in pod["containers"]] == ["rust-ml-api", "sidecar"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert pod["tolerations"][0]["key"] == "dedicated"
    assert pod["affinity"].keys() == {"podAntiAffinity"}
    assert pod["priorityClassName"] == "important"
    assert pod["serviceAccountName"] == "classifier"
    spread = {each["topologyKey"]: each for each in pod["topologySpreadConstraints"]}
    assert spread["kubernetes.io/hostname"]["labelSelector"] == {"matchLabels": {"team": "vision"}}
    assert spread["kubernetes.io/hostname"]["matchLabelKeys"] == ["app"]
    assert spread["topology.kubernetes.io/zone"]["minDomains"] == 2


def test_traces_need_an_endpoint_alone():
    values = {"tracing": {"endpoint": "http://collector.monitoring:4318"}}

    def variables(values):
        container = helm.find(helm.render(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
        return {
            each["name"]: each.get("value") for each in container["env"] if each["name"].startswith("OTEL_")
        }

    assert variables({}) == variables({"tracing": {"samplerRatio": 1}}) == {}
    assert variables(values) == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
        "OTEL_SERVICE_NAME": "rust-ml-api",
    }
    assert variables({"tracing": {**values["tracing"], "samplerRatio": 1}})["OTEL_TRACES_SAMPLER_ARG"] == "1"
    runtime = helm.find(helm.render(values | {"kserve": {"enabled": True}}), "ServingRuntime")
    env = {each["name"]: each.get("value") for each in runtime["spec"]["containers"][0]["env"]}
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.monitoring:4318"
    assert env["OTEL_SERVICE_NAME"] == "{{.Name}}"


def test_api_keys_come_from_a_secret():
    found = objects("locked-down")
    pod = helm.find(found, "Deployment")["spec"]["template"]["spec"]
    test = helm.find(found, "Pod")["spec"]

    for each in (pod, test):
        assert {"name": "api-keys", "secret": {"secretName": "callers"}} in each["volumes"]
    assert {"name": "API_KEYS_FILE", "value": "/etc/rust-ml-api/keys"} in pod["containers"][0]["env"]
    assert "--api-keys=/etc/rust-ml-api/keys" in test["containers"][0]["args"]


@pytest.mark.parametrize(
    ("version", "written"),
    [("1.30.0", None), ("1.31.0", "PreferClose"), ("1.33.0", "PreferClose"), ("1.34.0", "PreferSameZone")],
)
def test_traffic_distribution_has_the_name_of_the_clusters_version(version, written):
    objects = helm.render({"service": {"trafficDistribution": "PreferSameZone"}}, kube_version=version)

    assert helm.find(objects, "Service")["spec"].get("trafficDistribution") == written
