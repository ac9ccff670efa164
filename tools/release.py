"""The version, what names it, and its section of the changelog.

    python -m tools.release check              is everything of one version, and the changelog in form
    python -m tools.release check --tag v0.2.0 the same, and may this tag be released
    python -m tools.release prepare 0.2.0      make it the version everywhere, and date its section
    python -m tools.release notes              print its section

It needs nothing but Python: the job that writes the release installs nothing.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = Path("service/__init__.py")
CHART = Path("charts/rust-ml-api/Chart.yaml")
# The groups of https://keepachangelog.com/en/1.1.0/
GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_OWN = re.compile(r'(?m)^(__version__ = ")([^"]+)()')
_CHART = re.compile(r'(?m)^((?:appVersion|version): "?)([^"\s]+)()')
_IMAGE = re.compile(r"(\brust-ml-api:)(\d+\.\d+\.\d+)(\b)")
_HEADING = re.compile(r"(?m)^## (.*)$")


class CannotRelease(Exception):
    """What stands in the way, as a sentence."""


class Section(NamedTuple):
    """A part of the changelog: "Unreleased" or a version, its date (None if unreleased), and its text."""

    name: str
    date: str | None
    text: str


def version(root: Path = ROOT) -> str:
    """Return the version that the package and the service say."""
    found = _OWN.search((root / SOURCE).read_text())
    assert found, f"{SOURCE} sets no __version__"
    return found[2]


def mentions(root: Path = ROOT) -> dict[Path, set[str]]:
    """Return each file that has to name the version, because nothing computes there, and what it names."""
    return {
        file: {match[2] for pattern in patterns for match in pattern.finditer((root / file).read_text())}
        for file, patterns in _places(root).items()
    }


def sections(changelog: str) -> list[Section]:
    """Return the sections of a changelog, the newest first.

    Raises:
        CannotRelease: a heading is not of the form of Keep a Changelog, or out of order.
    """
    headings = list(_HEADING.finditer(changelog))
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    found = [
        _section(heading[1], changelog[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=False)
    ]
    names = [section.name for section in found]
    if names[:1] != ["Unreleased"] or names.count("Unreleased") != 1:
        raise CannotRelease("CHANGELOG.md has to begin with a section ## [Unreleased], even if it is empty")
    released = [_numbers(name) for name in names[1:]]
    if released != sorted(set(released), reverse=True):
        raise CannotRelease("CHANGELOG.md has versions out of order; the newest comes first, each once")
    return found


def check(tag: str | None = None, root: Path = ROOT) -> str:
    """Return in a sentence what could be released.

    Raises:
        CannotRelease: versions differ, the changelog is not in form, or the tag is not of this version.
    """
    current = version(root)
    if not _VERSION.fullmatch(current):
        raise CannotRelease(
            f"{SOURCE} has the version {current}; a release is MAJOR.MINOR.PATCH, such as 0.2.0"
        )
    for file, named in mentions(root).items():
        if named - {current}:
            others = ", ".join(sorted(named - {current}))
            raise CannotRelease(f"{file} names {others}, but the version is {current} ({SOURCE})")
    found = sections((root / "CHANGELOG.md").read_text())
    dates = {section.name: section.date for section in found}
    if len(found) > 1 and _numbers(found[1].name) > _numbers(current):
        raise CannotRelease(
            f"CHANGELOG.md goes up to {found[1].name}, but the version is {current} ({SOURCE})"
        )
    if tag is not None and tag != f"v{current}":
        raise CannotRelease(
            f"the tag is {tag}, but the version is {current} ({SOURCE}): its tag is v{current}"
        )
    if current in dates:
        return f"{current} has its section of the changelog, dated {dates[current]}: its tag is v{current}"
    if tag is None:
        return f"{current} is not in the changelog yet: make version VERSION={current}"
    raise CannotRelease(
        f"CHANGELOG.md has no section ## [{current}] - DATE: make it with make version "
        f"VERSION={current}, commit, and tag that commit"
    )


def notes(root: Path = ROOT) -> str:
    """Return what the changelog says of this version.

    Raises:
        CannotRelease: it has no section.
    """
    current = version(root)
    for section in sections((root / "CHANGELOG.md").read_text()):
        if section.name == current:
            return section.text
    raise CannotRelease(f"CHANGELOG.md has no section ## [{current}] - DATE")


def prepare(new: str, today: datetime.date, root: Path = ROOT) -> list[Path]:
    """Make this the version everywhere, and make what is unreleased its section; return what was written.

    Raises:
        CannotRelease: it is no version, not above the last release, or nothing has changed since.
    """
    if not _VERSION.fullmatch(new):
        raise CannotRelease(f"{new!r} is no version of the form MAJOR.MINOR.PATCH, such as 0.2.0")
    changelog = (root / "CHANGELOG.md").read_text()
    unreleased, *released = sections(changelog)
    if not unreleased.text:
        raise CannotRelease("CHANGELOG.md says nothing under ## [Unreleased], so there is nothing to release")
    if released and _numbers(new) <= _numbers(released[0].name):
        raise CannotRelease(f"{new} is not above {released[0].name}, the last release in CHANGELOG.md")

    heading = "## [Unreleased]"
    written = {Path("CHANGELOG.md"): changelog.replace(heading, f"{heading}\n\n## [{new}] - {today}", 1)}
    for file, patterns in _places(root).items():
        text = (root / file).read_text()
        for pattern in patterns:
            text = pattern.sub(rf"\g<1>{new}\g<3>", text)
        written[file] = text
    changed = [file for file, text in written.items() if text != (root / file).read_text()]
    for file in changed:
        (root / file).write_text(written[file])
    return changed


def _places(root: Path) -> dict[Path, list[re.Pattern[str]]]:
    """Each file that names the version, and how: the version is the second group."""
    globs = ("*.md", "docs/**/*.md", "charts/rust-ml-api/README.md", "tools/*.py")
    files = (file for pattern in globs for file in root.glob(pattern))
    places = {SOURCE: [_OWN], CHART: [_CHART, _IMAGE]}
    for file in sorted(files):
        # What the changelog says of an earlier version stays as it was.
        if file.name != "CHANGELOG.md" and _IMAGE.search(file.read_text()):
            places[file.relative_to(root)] = [_IMAGE]
    return places


def _section(heading: str, text: str) -> Section:
    found = re.fullmatch(r"\[Unreleased\]|\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", heading)
    name, date = (found[1] or "Unreleased", found[2]) if found else (None, None)
    try:
        datetime.date.fromisoformat(date or "2000-01-01")
    except ValueError:
        name = None
    if not name:
        raise CannotRelease(
            f"CHANGELOG.md has the heading ## {heading}; it takes ## [Unreleased] and ## [0.2.0] - 2026-01-31"
        )
    for group in re.findall(r"(?m)^### (.*)$", text):
        if group not in GROUPS:
            raise CannotRelease(
                f"CHANGELOG.md has the group ### {group} in {name}; the groups are {', '.join(GROUPS)}"
            )
    return Section(name, date, text)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split("."))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 if there is something in the way, and it says what."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("check", help="is everything of one version")
    command.add_argument("--tag", help="may this tag be released, too")
    command = commands.add_parser("prepare", help="raise the version, and date its section of the changelog")
    command.add_argument("version")
    commands.add_parser("notes", help="print the changelog's section of the version")
    options = parser.parse_args(arguments)

    try:
        if options.command == "check":
            print(check(options.tag))
        elif options.command == "notes":
            print(notes())
        else:
            print(*prepare(options.version, datetime.datetime.now(datetime.UTC).date()), sep="\n")
    except CannotRelease as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
