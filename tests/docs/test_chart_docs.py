"""The chart's documentation: comments in values.yaml, the README's table made from them, and the notes."""

from __future__ import annotations

import re

import helm_python
import pytest

from tools import chart_docs, helm

VALUES = (helm.CHART / "values.yaml").read_text()
README = (helm.CHART / "README.md").read_text()


def test_every_value_has_a_comment():
    assert [value.path for value in chart_docs.values(VALUES) if not value.comment] == []


def test_the_readme_is_generated_from_the_comments():
    assert chart_docs.updated(README, VALUES) == README, "run: python -m tools.helm docs"


def test_a_value_without_a_comment_is_found():
    found = {
        value.path: value.comment for value in chart_docs.values("# Why.\na: 1\nb: {c: 2}\n# d e\n# f\ng:\n")
    }

    assert found == {"a": "Why.", "b": "", "b.c": "", "g": "d e f"}


def test_every_value_in_the_readmes_commands_exists():
    paths = {value.path for value in chart_docs.values(VALUES)}
    prose = README.split(chart_docs.START)[0]

    assert set(re.findall(r"--set ([A-Za-z.]+)=", prose)) <= paths


@pytest.mark.parametrize(
    "file", ["docs/kubernetes.md", "docs/your-own-model.md", "charts/rust-ml-api/README.md"]
)
def test_the_chart_takes_what_the_commands_of_a_document_set(file):
    text = (helm.CHART.parents[1] / file).read_text().split(chart_docs.START)[0]
    # A command may go on after a backslash; a value in quotes is filled in by the shell.
    commands = re.findall(r"(?m)^(?:\$ )?helm upgrade .*$", text.replace("\\\n", " "))

    assert commands
    for command in commands:
        expressions = re.findall(r"--set ([\w.]+=[^\s$\"]+)", command)
        assert helm.render(helm_python.parse_set_string(",".join(expressions)))


def test_the_error_in_the_readme_is_what_helm_says():
    [(command, sentence)] = re.findall(r"(?m)^\$ (helm install .*)\n… (.*)$", README)
    [(first, enabled), (second, replicas)] = re.findall(r"--set autoscaling\.(\w+)=(\S+)", command)

    with pytest.raises(helm_python.HelmError) as rejected:
        helm.render({"autoscaling": {first: enabled == "true", second: int(replicas)}})

    assert sentence in str(rejected.value)


def test_notes_name_the_commands_for_the_chosen_service():
    def notes(values):
        return helm.render_files(values, namespace="vision")["NOTES.txt"]

    assert "minikube service --namespace vision rust-ml-api-service" in notes({})
    assert "get service rust-ml-api-service --watch" in notes({"service": {"type": "LoadBalancer"}})
    assert "http://rust-ml-api-service.vision:8080" in notes({"service": {"type": "ClusterIP", "port": 8080}})
    assert "https://classifier.example.com/" in notes(helm.read_values(helm.CHART / "ci/ingress-values.yaml"))
    assert "get hpa rust-ml-api-hpa --watch" in notes({"autoscaling": {"enabled": True}})
    assert "model.url is not pinned" in notes({"model": {"url": "https://a.example/m.pt"}})
    for values in ({}, {"service": {"type": "ClusterIP"}}):
        assert "port-forward service/rust-ml-api-service 8080:80" in notes(values)
        assert "helm test rust-ml-api --namespace vision" in notes(values)
        assert "The page is at http://localhost:8080/" in notes(values)
        assert "curl --form image=@PICTURE.png http://localhost:8080/predict\n" in notes(values)
    assert '/predict --header "X-API-Key: KEY"\n' in notes({"apiKeys": {"existingSecret": "keys"}})
