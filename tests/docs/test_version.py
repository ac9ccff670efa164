"""`service.__version__` is the version; what else has to name it, because nothing computes there, agrees."""

from __future__ import annotations

import configparser
from pathlib import Path

import service
from tests.support.paths import ROOT
from tools import release


def test_the_package_takes_its_version_from_the_service():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert config["metadata"]["version"] == "attr: service.__version__"
    assert release.version() == service.__version__


def test_every_image_in_a_document_or_the_chart_has_the_version():
    named = release.mentions()

    assert {Path("README.md"), release.CHART, release.SOURCE} < set(named)
    assert {version for versions in named.values() for version in versions} == {service.__version__}
