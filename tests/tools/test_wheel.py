"""The Python package: a wheel built of the source distribution holds all that the service needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from tests.support.paths import ROOT

FOLDERS = ("service", "training")
SDIST = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
# What commands leave in the repository, and what is hidden.
NO_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "data", "dist", "node_modules", "runs")
WHEEL = "from setuptools import build_meta; print(build_meta.build_wheel('..'))"


def build(code, folder):
    """Run a step of the build as its frontends do, beside its source, and return what it has written."""
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder.parent / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source distribution, built from a copy, for it leaves files beside its source."""
    source = tmp_path_factory.mktemp("package") / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NO_SOURCE))
    return build(SDIST, source)


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel, built from the source distribution, as `python -m build` does."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [source] = folder.iterdir()
    with zipfile.ZipFile(build(WHEEL, source)) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_service_and_of_training_and_nothing_else(wheel):
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md"
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert "service/weights/mnist_cnn.pt" in wanted
    assert {"service/api/static/gallery.json", "service/api/static/docs.html"} < wanted
    assert held == wanted
    for name in wanted:
        assert wheel.read(name) == (ROOT / name).read_bytes(), name


def test_the_wheel_says_what_it_is_and_under_which_licence(wheel):
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    lines = wheel.read(metadata).decode().splitlines()

    assert {"Name: rust-ml-api", "License: Apache-2.0", "Requires-Python: >=3.11"} <= set(lines)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_the_source_distribution_holds_no_half_of_the_tests(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"CHANGELOG.md", "LICENSE", "README.md", "constraints.txt", "setup.cfg"} < names
    assert not any(name.startswith("tests") for name in names)
