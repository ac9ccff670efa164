"""Install the chart on a cluster, check what docs/kubernetes.md promises step by step, and remove everything.

    python -m tools.e2e --image rust-ml-api:0.1.0

Uses the current kubectl context, or --context, and a namespace of its own. Needs kubectl and an image that
the nodes have or can pull; Helm itself is part of the `helm_python` package.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

import helm_python
import requests

from service import smoke
from service.inference.weights import read_weights
from service.settings import BUNDLED_MODEL
from tools import helm
from tools.cluster import RELEASE, Cluster, Failed, expect
from tools.cluster_load import Load


def say(sentence: str) -> None:
    """Print what has just been checked."""
    print(f"  ✓ {sentence}", flush=True)


class Run:
    """The steps, in order. Each checks one promise and prints it."""

    def __init__(self, cluster: Cluster, *, image: str, weights: Path) -> None:
        self.cluster = cluster
        self.image = image
        self.weights = weights
        loaded = read_weights(weights)
        self.card, self.cases = loaded.card, loaded.golden
        repository, _, tag = image.rpartition(":")
        self.values: dict[str, Any] = {"image": {"repository": repository, "tag": tag}}

    def upgrade(self, **changes: Any) -> None:
        """Run helm upgrade with these values changed, and wait for the rollout."""
        self.values |= changes
        timeout = self.cluster.timeout_seconds
        self.cluster.helm.upgrade(helm.CHART, RELEASE, self.values, wait="watcher", timeout=timeout)
        self.cluster.rollout()

    def install(self) -> None:
        """Run helm install and wait for the rollout."""
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
        lines = re.findall(r"(?m)^.*\d+ of \d+.*$", str(result.get("logs", "")))
        say(f"helm test: {lines[-1] if lines else 'passed'}")

    def predict(self) -> None:
        """Post digits through kubectl port-forward."""
        with self.cluster.address() as url:
            answer = requests.get(f"{url}/healthz", timeout=10)
            healthy = (answer.status_code, answer.text.strip()) == (200, "OK")
            expect(healthy, f"/healthz answered {answer.status_code}: {answer.text!r}")
            labels = [smoke.predict(url, image, self.card.target) for image in self.cases.images]
        expected = [self.card.classes[place] for place in self.cases.labels]
        expect(labels == expected, f"expected {expected}, got {labels}")
        say(f"kubectl port-forward: {len(labels)} digits predicted correctly")

    def scale(self) -> None:
        """Upgrade to five replicas."""
        self.upgrade(replicaCount=5)
        pods = len(self.cluster.pods())
        expect(pods == 5, f"expected 5 pods, found {pods}")
        say("helm upgrade --set replicaCount=5: 5 replicas ready")

    def restart_under_load(self) -> None:
        """Replace every pod while another pod sends requests in a loop; none may fail."""
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
        """Enable the autoscaler, then disable it."""
        self.upgrade(autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 5})
        hpa = self.cluster.get("hpa", f"{RELEASE}-hpa")
        low, high = hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]
        expect((low, high) == (2, 5), f"expected 2 to 5 replicas, found {low} to {high}")
        metrics = {each["resource"]["name"] for each in hpa["spec"]["metrics"]}
        expect(metrics == {"cpu", "memory"}, f"expected the metrics cpu and memory, found {metrics}")
        self.cluster.wait_until(
            lambda: self._condition("AbleToScale") == "True", "the autoscaler finds the Deployment"
        )
        # It had five replicas, and must not fall back to one until the autoscaler has counted them.
        replicas = self.cluster.get("deployment", RELEASE)["spec"]["replicas"]
        expect(replicas >= low, f"the autoscaler took over {replicas} replicas; expected at least {low}")
        measured = self.cluster.kubectl(
            "get", "apiservice", "v1beta1.metrics.k8s.io", "--output", "name", "--ignore-not-found"
        )
        if measured.strip():
            # The first sample of a new pod takes up to a minute.
            self.cluster.wait_until(
                lambda: self._condition("ScalingActive") == "True", "the autoscaler reads CPU and memory"
            )
        seen = "reads CPU and memory" if measured.strip() else "is there; metrics-server is not"
        self.upgrade(autoscaling={"enabled": False}, replicaCount=2)
        say(f"autoscaler: {RELEASE}-hpa {seen}")

    def _condition(self, kind: str) -> str:
        conditions = self.cluster.get("hpa", f"{RELEASE}-hpa").get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "")

    def replace_weights(self) -> None:
        """Serve weights from a ConfigMap, then roll back."""
        self.cluster.kubectl("create", "configmap", "weights-2", f"--from-file=mnist_cnn.pt={self.weights}")
        model = {"existingConfigMap": "weights-2", "version": "2"}
        self.upgrade(model=model)
        expect(self._model_annotation("version") == "2", "the pod annotation model-version is not 2")
        self.test()
        say("helm upgrade --set model.existingConfigMap=weights-2: pods serve the weights of the ConfigMap")
        self.cluster.helm.rollback(RELEASE, wait="watcher", timeout=self.cluster.timeout_seconds)
        self.cluster.rollout()
        del self.values["model"]
        expect(self._model_annotation("source").startswith("image "), "the pods still serve the ConfigMap")
        self.predict()
        say("helm rollback: pods serve the weights of the image")

    def refuse_broken_weights(self) -> None:
        """Roll out broken weights: the new pod must not become ready, and the old pods must go on serving."""
        self.cluster.kubectl("create", "configmap", "broken", "--from-literal=mnist_cnn.pt=rubbish")
        before = {pod["metadata"]["name"] for pod in self.cluster.pods()}
        values = self.values | {"model": {"existingConfigMap": "broken", "version": "broken"}}
        self.cluster.helm.upgrade(helm.CHART, RELEASE, values)

        def restarted() -> bool:
            new = [pod for pod in self.cluster.pods() if pod["metadata"]["name"] not in before]
            statuses = [status for pod in new for status in pod["status"].get("containerStatuses", [])]
            expect(not any(status["ready"] for status in statuses), "a pod with broken weights became ready")
            return any(status["restartCount"] > 0 for status in statuses)

        self.cluster.wait_until(restarted, "the pod with broken weights restarts")
        names = {pod["metadata"]["name"] for pod in self.cluster.pods()}
        expect(before <= names, f"pods with good weights were deleted: {before - names}")
        self.predict()
        self.cluster.helm.rollback(RELEASE, wait="watcher", timeout=self.cluster.timeout_seconds)
        self.cluster.rollout()
        say(
            "broken weights: the new pod never became ready, the old pods went on serving;"
            " helm rollback removed the new pod"
        )

    def _model_annotation(self, name: str) -> str:
        annotations = [pod["metadata"]["annotations"] for pod in self.cluster.pods()]
        found = {each.get(f"rust-ml-api/model-{name}", "") for each in annotations}
        expect(len(found) == 1, f"the pods have different annotations: {found}")
        return found.pop()

    def uninstall(self) -> None:
        """Run helm uninstall; no object of the release may remain."""
        self.cluster.helm.uninstall(RELEASE, wait="watcher", timeout=self.cluster.timeout_seconds)
        self.cluster.kubectl("delete", "configmap", "weights-2", "broken")
        kinds = "deployments,replicasets,pods,services,hpa,pdb,serviceaccounts,configmaps,secrets,jobs"

        def remaining() -> list[str]:
            names = self.cluster.kubectl("get", kinds, "--output", "name", "--ignore-not-found").split()
            given = {
                "serviceaccount/default",
                "configmap/kube-root-ca.crt",
                "configmap/openshift-service-ca.crt",
            }
            return [name for name in names if name not in given]

        self.cluster.wait_until(lambda: not remaining(), "every object is deleted")
        say("helm uninstall: no object remains")


def main(arguments: list[str] | None = None) -> int:
    """Run all steps; the exit status is 0 only if every check passed."""
    parser = argparse.ArgumentParser(prog="python -m tools.e2e", description=__doc__.split("\n")[0])
    parser.add_argument("--image", required=True, help="image that the nodes have or can pull, with its tag")
    parser.add_argument("--weights", type=Path, default=BUNDLED_MODEL, help="weights file for the ConfigMap")
    parser.add_argument(
        "--namespace", default="rust-ml-api-e2e", help="created for the run and deleted after it"
    )
    parser.add_argument("--context", help="kubectl context; the current one by default")
    parser.add_argument("--timeout", type=int, default=300, metavar="SECONDS", help="for each step")
    options = parser.parse_args(arguments)

    cluster = Cluster(namespace=options.namespace, context=options.context, timeout_seconds=options.timeout)
    cluster.kubectl("create", "namespace", options.namespace)
    # The API server then rejects pods that do not meet the standard.
    cluster.kubectl("label", "namespace", options.namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        run = Run(cluster, image=options.image, weights=options.weights)
        print(
            f"{options.image} in namespace {options.namespace}, which enforces the restricted standard:",
            flush=True,
        )
        for step in (
            run.install,
            run.test,
            run.predict,
            run.scale,
            run.restart_under_load,
            run.autoscale,
            run.replace_weights,
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
        say("namespace deleted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
