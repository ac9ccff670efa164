"""Installs the chart on the current cluster and proves its promises one by one, then removes every trace.

    python -m tools.e2e --image rust-ml-api:0.1.0

Works on whatever `kubectl config current-context` points at, in a namespace of its own. Needs kubectl, an
image that the cluster's nodes have or can pull, and nothing else: Helm is in the `helm_python` package.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import helm_python
import requests

from service import smoke
from service.settings import BUNDLED_MODEL
from tools import helm
from tools.cluster import RELEASE, Cluster, Failed, expect
from tools.cluster_load import Load


def say(sentence: str) -> None:
    """Tell the reader what has just been proved."""
    print(f"  ✓ {sentence}", flush=True)


class Run:
    """The steps, in order. Each proves one thing and says so."""

    def __init__(self, cluster: Cluster, *, image: str, weights: Path) -> None:
        self.cluster = cluster
        self.image = image
        self.weights = weights
        self.cases = smoke.read_golden_cases(weights)
        repository, _, tag = image.rpartition(":")
        self.values: dict[str, Any] = {"image": {"repository": repository, "tag": tag}}

    def upgrade(self, **changes: Any) -> None:
        """Helm upgrade with some values changed, and wait for the rollout."""
        self.values |= changes
        timeout = self.cluster.timeout_seconds
        self.cluster.helm.upgrade(helm.CHART, RELEASE, self.values, wait="watcher", timeout=timeout)
        self.cluster.rollout()

    def install(self) -> None:
        """Install and wait."""
        began = time.monotonic()
        self.cluster.helm.install(
            helm.CHART, RELEASE, self.values, wait="watcher", timeout=self.cluster.timeout_seconds
        )
        self.cluster.rollout()
        took = time.monotonic() - began
        pods = self.cluster.pods()
        expect(len(pods) == 2, f"expected 2 pods, found {len(pods)}")
        say(f"helm install: 2 replicas ready after {took:.0f} s")

    def test(self) -> None:
        """Run `helm test`."""
        result = self.cluster.helm.test(RELEASE, timeout=self.cluster.timeout_seconds, logs=True)
        lines = [line for line in str(result.get("logs", "")).splitlines() if "digits are right" in line]
        say(f"helm test: {lines[-1] if lines else 'passed'}")

    def predict(self) -> None:
        """Post digits through a port-forward."""
        with self.cluster.address() as url:
            answer = requests.get(f"{url}/healthz", timeout=10)
            expect((answer.status_code, answer.text.strip()) == (200, "OK"), f"/healthz said {answer.text!r}")
            digits = [smoke.predict(url, image) for image in self.cases.images]
        expect(digits == self.cases.labels.tolist(), f"expected {self.cases.labels.tolist()}, got {digits}")
        say(f"kubectl port-forward: {len(digits)} real digits are right")

    def scale(self) -> None:
        """Upgrade to five replicas."""
        self.upgrade(replicaCount=5)
        expect(len(self.cluster.pods()) == 5, "the fifth pod is missing")
        say("helm upgrade --set replicaCount=5: 5 replicas ready")

    def restart_under_load(self) -> None:
        """Replace every pod while a pod of its own asks without pause; nothing may fail."""
        before = {pod["metadata"]["name"] for pod in self.cluster.pods()}
        with Load(self.cluster, self.image, f"http://{RELEASE}-service") as load:
            self.cluster.kubectl("rollout", "restart", f"deployment/{RELEASE}")
            self.cluster.rollout()
        result = load.result
        expect(
            not before & {pod["metadata"]["name"] for pod in self.cluster.pods()}, "a pod was not replaced"
        )
        expect(
            result["failed"] == 0,
            f"{result['failed']} of {result['sent']} requests failed: {result['errors']}",
        )
        again = result["sent again"]
        say(f"rolling restart of 5 pods: {result['sent']} requests, 0 failed, {again} sent again")

    def autoscale(self) -> None:
        """Switch the autoscaler on, and off again."""
        self.upgrade(autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 5})
        hpa = self.cluster.get("hpa", f"{RELEASE}-hpa")
        expect((hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 5), "the limits are others")
        metrics = {each["resource"]["name"] for each in hpa["spec"]["metrics"]}
        expect(metrics == {"cpu", "memory"}, f"it scales on {metrics}")
        self.cluster.until(
            lambda: self._condition("AbleToScale") == "True", "the autoscaler finds the Deployment"
        )
        active = self._condition("ScalingActive") == "True"
        seen = (
            "reads CPU and memory" if active else "finds the Deployment (no metrics-server here to read from)"
        )
        self.upgrade(autoscaling={"enabled": False}, replicaCount=2)
        say(f"autoscaler: {RELEASE}-hpa {seen}")

    def _condition(self, kind: str) -> str:
        conditions = self.cluster.get("hpa", f"{RELEASE}-hpa").get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "")

    def swap_weights(self) -> None:
        """Serve weights from a ConfigMap, then roll back."""
        self.cluster.kubectl("create", "configmap", "weights-2", f"--from-file=mnist_cnn.pt={self.weights}")
        model = {"existingConfigMap": "weights-2", "version": "2"}
        self.upgrade(model=model)
        expect(self._model_annotation("version") == "2", "the pods do not say that they serve version 2")
        self.test()
        say("helm upgrade --set model.existingConfigMap=weights-2: the pods serve the ConfigMap's weights")
        self.cluster.helm.rollback(RELEASE, wait="watcher", timeout=self.cluster.timeout_seconds)
        self.cluster.rollout()
        del self.values["model"]
        expect(self._model_annotation("source").startswith("image "), "the pods still serve the ConfigMap")
        self.predict()
        say("helm rollback: the pods serve the weights of the image again")

    def refuse_broken_weights(self) -> None:
        """Roll out weights that cannot be served: the pods before them must go on answering."""
        self.cluster.kubectl("create", "configmap", "broken", "--from-literal=mnist_cnn.pt=rubbish")
        before = {pod["metadata"]["name"] for pod in self.cluster.pods()}
        values = self.values | {"model": {"existingConfigMap": "broken", "version": "broken"}}
        self.cluster.helm.upgrade(helm.CHART, RELEASE, values)

        def restarted() -> bool:
            new = [pod for pod in self.cluster.pods() if pod["metadata"]["name"] not in before]
            statuses = [status for pod in new for status in pod["status"].get("containerStatuses", [])]
            expect(not any(status["ready"] for status in statuses), "a pod with broken weights became ready")
            return any(status["restartCount"] > 0 for status in statuses)

        self.cluster.until(restarted, "a pod refuses the broken weights")
        names = {pod["metadata"]["name"] for pod in self.cluster.pods()}
        expect(before <= names, f"pods with good weights are gone: {before - names}")
        self.predict()
        self.cluster.helm.rollback(RELEASE, wait="watcher", timeout=self.cluster.timeout_seconds)
        self.cluster.rollout()
        say(
            "broken weights: the new pod never became ready, the old ones served on; helm rollback cleared it"
        )

    def _model_annotation(self, name: str) -> str:
        annotations = [pod["metadata"]["annotations"] for pod in self.cluster.pods()]
        found = {each.get(f"rust-ml-api/model-{name}", "") for each in annotations}
        expect(len(found) == 1, f"the pods differ: {found}")
        return found.pop()

    def uninstall(self) -> None:
        """Uninstall; nothing of the release may be left."""
        self.cluster.helm.uninstall(RELEASE, wait="watcher", timeout=self.cluster.timeout_seconds)
        self.cluster.kubectl("delete", "configmap", "weights-2", "broken")
        kinds = "deployments,replicasets,pods,services,hpa,pdb,serviceaccounts,configmaps,secrets,jobs"

        def left() -> list[str]:
            names = self.cluster.kubectl("get", kinds, "--output", "name", "--ignore-not-found").split()
            given = {
                "serviceaccount/default",
                "configmap/kube-root-ca.crt",
                "configmap/openshift-service-ca.crt",
            }
            return [name for name in names if name not in given]

        self.cluster.until(lambda: not left(), "nothing is left")
        say("helm uninstall: nothing is left")


def main(arguments: list[str] | None = None) -> int:
    """Run all steps; the exit status is 0 only if every one held."""
    parser = argparse.ArgumentParser(prog="python -m tools.e2e", description=__doc__.split("\n")[0])
    parser.add_argument("--image", required=True, help="image that the nodes have or can pull, with its tag")
    parser.add_argument("--weights", type=Path, default=BUNDLED_MODEL, help="weights file to swap in")
    parser.add_argument(
        "--namespace", default="rust-ml-api-e2e", help="made for the run and deleted after it"
    )
    parser.add_argument("--context", help="kubectl context; the current one by default")
    parser.add_argument("--timeout", type=int, default=300, metavar="SECONDS", help="for each step")
    options = parser.parse_args(arguments)

    cluster = Cluster(namespace=options.namespace, context=options.context, timeout_seconds=options.timeout)
    cluster.kubectl("create", "namespace", options.namespace)
    # The strictest standard: pods that do not meet it are refused.
    cluster.kubectl("label", "namespace", options.namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        run = Run(cluster, image=options.image, weights=options.weights)
        print(
            f"{options.image} in namespace {options.namespace}, held to the restricted standard:", flush=True
        )
        for step in (
            run.install,
            run.test,
            run.predict,
            run.scale,
            run.restart_under_load,
            run.autoscale,
            run.swap_weights,
            run.refuse_broken_weights,
            run.uninstall,
        ):
            step()
    except (Failed, helm_python.HelmError, requests.RequestException, OSError) as error:
        print(f"  ✗ {error}", file=sys.stderr)
        print(cluster.kubectl("get", "pods,events"), file=sys.stderr)
        return 1
    finally:
        cluster.kubectl("delete", "namespace", options.namespace)
        say("the namespace is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
