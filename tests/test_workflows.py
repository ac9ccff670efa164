"""Workflows run what was reviewed: actions by commit, kept up to date by Dependabot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


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
