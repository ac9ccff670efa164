"""Workflows run what was reviewed: actions by commit, commands that exist, no more rights than needed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yaml"


def jobs(file):
    """The jobs of a workflow, by name."""
    return yaml.safe_load(file.read_text())["jobs"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is(file):
    """A tag can be moved to other code; a commit can't."""
    used = re.findall(r"(?m)^\s*(?:- )?uses: *(\S+)(.*)$", file.read_text())

    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_one_action_has_one_version(file):
    commits: dict[str, set[str]] = {}
    for action in re.findall(r"uses: *(\S+)", file.read_text()):
        name, commit = action.split("@")
        commits.setdefault(name, set()).add(commit)

    assert [name for name, found in commits.items() if len(found) > 1] == []


def test_dependabot_looks_after_actions_and_every_file_of_pinned_packages():
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
    watched = {
        (each["package-ecosystem"], directory)
        for each in config["updates"]
        for directory in each.get("directories", [each.get("directory")])
    }
    locks = [lock for folder in ("tests", "tools") for lock in (ROOT / folder).rglob("package-lock.json")]

    assert watched == {
        ("github-actions", "/"),
        ("pip", "/"),
        *(("npm", f"/{lock.parent.relative_to(ROOT)}") for lock in locks),
    }
    assert (ROOT / "constraints.txt").is_file()


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_command_of_the_project_that_a_workflow_runs_exists(file):
    makefile = (ROOT / "Makefile").read_text()
    scripts = "\n".join(step.get("run", "") for job in jobs(file).values() for step in job["steps"])

    makes = re.findall(r"\bmake ([a-z0-9-]+)((?: [A-Z]+=\S+)*)", scripts)
    assert makes
    for target, variables in makes:
        assert re.search(rf"(?m)^{target}:", makefile), target
        for variable in re.findall(r"([A-Z]+)=", variables):
            assert re.search(rf"(?m)^{variable} \?=", makefile), variable
    for module in re.findall(r"python3? -m ([a-z_.]+)", scripts):
        assert importlib.util.find_spec(module), module


def test_every_job_of_a_release_may_do_what_it_needs_and_nothing_else():
    workflow = yaml.safe_load(RELEASE.read_text())
    sign = {"id-token": "write", "attestations": "write"}

    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "test": {"contents": "read"},
        "package": {"contents": "read"},
        "image": {"contents": "read", "packages": "write"},
        "index": {"packages": "write", **sign},
        "chart": {"packages": "write", **sign},
        "python": sign,
        "release": {"contents": "write"},
    }


def test_what_signs_installs_no_packages_and_runs_no_code_of_the_project():
    for name, job in jobs(RELEASE).items():
        if "id-token" in job["permissions"]:
            scripts = "\n".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"\b(?:make|pip|npm|python3?)\b", scripts), name
            assert not any(step.get("uses", "").startswith("actions/checkout@") for step in job["steps"]), (
                name
            )


def test_nothing_is_published_before_tests_and_packages_are_good():
    def before(name):
        """Every job that has to be done before this one."""
        needed = found[name].get("needs", [])
        return {*needed, *(each for one in needed for each in before(one))}

    found = jobs(RELEASE)
    writing = {name for name, job in found.items() if "write" in job["permissions"].values()}

    assert writing == {"image", "index", "chart", "python", "release"}
    for name in writing:
        assert {"test", "package"} <= before(name)
    # What can't be taken back comes after what can.
    assert {"image", "index", "chart"} <= before("python") < before("release")


def test_a_tag_alone_starts_a_release_and_nothing_stops_it_half_way():
    workflow = yaml.safe_load(RELEASE.read_text())

    assert workflow[True] == {"push": {"tags": ["v*"]}}  # PyYAML reads the key `on` as a boolean
    assert workflow["concurrency"] == {"group": "release", "cancel-in-progress": False}


def test_both_images_are_built_for_both_architectures_with_their_sbom_and_provenance():
    found = jobs(RELEASE)
    [build] = [
        step["with"] for step in found["image"]["steps"] if "build-push-action" in step.get("uses", "")
    ]
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text()))

    matrix = found["image"]["strategy"]["matrix"]
    assert matrix == {"target": ["serve", "training"], "architecture": ["amd64", "arm64"]}
    assert set(matrix["target"]) == {
        each["target"] for each in found["index"]["strategy"]["matrix"]["include"]
    }
    assert set(matrix["target"]) <= stages
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    # The tag that the chart asks for by default; that of training is the chart's, too.
    suffixes = {each["target"]: each["suffix"] for each in found["index"]["strategy"]["matrix"]["include"]}
    assert suffixes == {"serve": "", "training": "-training"}


def test_the_document_about_releases_names_the_identity_that_signs():
    text = (ROOT / "docs" / "releasing.md").read_text()
    path = RELEASE.relative_to(ROOT)

    assert f"/{path}@refs/tags/v" in text
    rows = re.findall(r"(?m)^\| (`[^|]*) \|.*\|$", text[text.index("## When a job fails") :])
    assert re.findall(r"`(\w+)`", " ".join(rows)) == list(jobs(RELEASE))
