"""The Dockerfile, as far as it can be checked without a build."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from service.settings import Settings
from tools import helm

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def stages():
    """Name of a stage → its instructions, as (word, rest)."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            name = rest.split()[-1]
            found[name] = []
        found.setdefault(name, []).append((word, rest))
    return found


def test_docker_build_without_a_target_builds_the_serving_image(stages):
    assert list(stages)[-1] == "serve"
    assert {"serve", "training"} <= set(stages)


def test_base_image_and_torch_index_can_be_chosen():
    assert re.search(r"(?m)^ARG BASE_IMAGE=python:3\.12-slim$", DOCKERFILE)
    assert re.search(r"(?m)^ARG TORCH_INDEX_URL=https://download\.pytorch\.org/whl/cpu$", DOCKERFILE)


@pytest.mark.parametrize("stage", ["serve", "training"])
def test_images_run_as_the_user_that_the_chart_names(stages, stage):
    context = helm.find(helm.render(), "Deployment")["spec"]["template"]["spec"]["securityContext"]

    assert ("USER", f"{context['runAsUser']}:{context['runAsGroup']}") in stages[stage]


def test_the_serving_image_starts_the_service_on_its_port_without_a_shell(stages):
    [command] = [json.loads(rest) for word, rest in stages["serve"] if word == "CMD"]

    assert command == ["python", "-m", "service"]
    assert ("EXPOSE", str(Settings().port)) in stages["serve"]


def test_the_serving_image_holds_no_training_code_and_no_build_tools(stages):
    copies = [rest for word, rest in stages["serve"] if word == "COPY"]

    assert copies == ["--from=venv-serve /venv /venv", "--from=sbom /sbom.json ./", "service/ service/"]
    assert "apt-get" not in DOCKERFILE


def test_the_images_have_what_the_value_for_traces_needs(stages):
    [install] = [rest for word, rest in stages["venv"] if word == "RUN" and "pip install" in rest]

    assert "'.[otel]'" in install.split()


def test_everything_that_the_dockerfile_copies_is_in_the_build_context():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", DOCKERFILE)

    for source in " ".join(sources).split():
        assert (ROOT / source).exists()
        assert any(f"!{source}".startswith(line) for line in ignored if line.startswith("!")), source
