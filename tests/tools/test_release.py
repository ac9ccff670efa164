"""Releases: one version everywhere, a changelog in form, and a tag that fits both."""

from __future__ import annotations

import datetime
import re
import shutil

import pytest

from tests.support.paths import ROOT
from tools import release

DAY = datetime.date(2026, 1, 31)
FIRST = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-01-30\n\n### Added\n\n- All of it.\n"


@pytest.fixture
def root(tmp_path):
    """A copy of all that names the version, with a changelog of two lines."""
    for file in release.mentions():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n### Added\n\n- All of it.\n")
    return tmp_path


def test_what_is_here_has_one_version_and_a_changelog_in_form():
    assert release.version() in release.check()


def test_a_prepared_version_can_be_released_under_its_tag_alone(root):
    written = release.prepare("7.8.9", DAY, root)

    assert {str(file) for file in written} > {"service/__init__.py", "README.md", "CHANGELOG.md"}
    assert {version for named in release.mentions(root).values() for version in named} == {"7.8.9"}
    assert release.check("v7.8.9", root).startswith("7.8.9 has its section")
    assert release.notes(root) == "### Added\n\n- All of it."
    with pytest.raises(release.CannotRelease, match=r"the tag is v7\.8\.8, but the version is 7\.8\.9"):
        release.check("v7.8.8", root)


def test_preparing_changes_nothing_but_versions(root):
    before = {file: (root / file).read_text() for file in release.mentions(root)}
    current = release.version()

    release.prepare("7.8.9", DAY, root)

    for file, text in before.items():
        assert (root / file).read_text().replace("7.8.9", current) == text
    chart = (root / "charts" / "rust-ml-api" / "Chart.yaml").read_text()
    assert re.findall(r"(?m)^version: .*|^appVersion: .*", chart) == ["version: 7.8.9", 'appVersion: "7.8.9"']


def test_a_tag_needs_a_dated_section(root):
    current = release.version(root)

    assert f"make version VERSION={current}" in release.check(root=root)
    with pytest.raises(release.CannotRelease, match="has no section"):
        release.check(f"v{current}", root)
    with pytest.raises(release.CannotRelease, match="has no section"):
        release.notes(root)


def test_a_file_of_another_version_is_named(root):
    with (root / "README.md").open("a") as file:
        file.write("docker run rust-ml-api:0.0.9\n")

    with pytest.raises(release.CannotRelease, match=r"README\.md names 0\.0\.9, but the version is"):
        release.check(root=root)


@pytest.mark.parametrize(
    ("new", "changelog", "said"),
    [
        ("1.0", FIRST, "no version of the form"),
        ("1.0.0rc1", FIRST, "no version of the form"),
        ("1.0.0", FIRST, "nothing to release"),
        ("0.1.0", FIRST.replace("]\n", "]\n\n- More.\n", 1), "not above 0.1.0"),
    ],
)
def test_what_cannot_be_prepared_says_why_and_changes_nothing(root, new, changelog, said):
    (root / "CHANGELOG.md").write_text(changelog)

    with pytest.raises(release.CannotRelease, match=said):
        release.prepare(new, DAY, root)

    assert release.version(root) == release.version()
    assert (root / "CHANGELOG.md").read_text() == changelog


@pytest.mark.parametrize(
    ("changelog", "said"),
    [
        ("# Changelog\n", "begin with a section ## \\[Unreleased\\]"),
        (FIRST.replace("## [Unreleased]\n\n", ""), "begin with a section ## \\[Unreleased\\]"),
        (FIRST + "\n## [Unreleased]\n", "begin with a section ## \\[Unreleased\\]"),
        (FIRST + "\n## [0.2.0] - 2026-01-31\n", "out of order"),
        (FIRST + "\n## [0.1.0] - 2026-01-31\n", "out of order"),
        (FIRST.replace(" - 2026-01-30", " (unreleased)"), "heading ## \\[0.1.0\\] \\(unreleased\\)"),
        (FIRST.replace("2026-01-30", "2026-02-30"), "heading ## \\[0.1.0\\] - 2026-02-30"),
        (FIRST.replace("[0.1.0]", "0.1.0"), "heading ## 0.1.0"),
        (FIRST.replace("### Added", "### News"), "group ### News in 0.1.0"),
    ],
)
def test_a_changelog_that_is_not_in_form_is_refused(changelog, said):
    with pytest.raises(release.CannotRelease, match=said):
        release.sections(changelog)


def test_a_changelog_ahead_of_the_version_is_refused(root):
    (root / "CHANGELOG.md").write_text(FIRST.replace("[0.1.0]", "[99.0.0]"))

    with pytest.raises(release.CannotRelease, match="goes up to 99"):
        release.check(root=root)
