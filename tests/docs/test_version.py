"""`service.__version__` is the version; what else has to name it, because nothing computes there, agrees."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import service

ROOT = Path(__file__).parents[2]


def test_the_package_takes_its_version_from_the_service():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert config["metadata"]["version"] == "attr: service.__version__"


def test_every_image_in_a_document_or_the_chart_has_the_version():
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tools/*.py")]
    files += [ROOT / "charts" / "rust-ml-api" / name for name in ("Chart.yaml", "README.md")]
    named = {
        (file.name, version)
        for file in files
        for version in re.findall(r"\brust-ml-api:(\d+\.\d+\.\d+)", file.read_text())
    }

    assert ("Chart.yaml", service.__version__) in named
    assert {version for _, version in named} == {service.__version__}


def test_the_changelog_begins_with_the_version():
    headings = re.findall(r"(?m)^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text())

    assert next(each for each in headings if each.lower() != "unreleased") == service.__version__
