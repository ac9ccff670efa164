"""The documents name files and commands that exist, and every module of the service."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tools import site

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT) for pattern in (*site.DOCUMENTS, ".github/**/*.md") for path in ROOT.glob(pattern)
)
MAKE_TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
FOLDERS = ("benchmarks", "charts", "docs", "examples", "service", "tests", "tools", "training")
# It names what was there once.
HISTORY = Path("CHANGELOG.md")


def read(document):
    """Return a document's text, without the addresses of other sites."""
    return re.sub(r"https?://[^\s)>]+", "", (ROOT / document).read_text())


current = pytest.mark.parametrize("document", [path for path in DOCUMENTS if path != HISTORY], ids=str)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_link_leads_to_a_file(document):
    text = (ROOT / document).read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)

    local = {target.partition("#")[0] for target in targets if "://" not in target and target[0] != "#"}

    assert [target for target in sorted(local) if not (ROOT / document.parent / target).exists()] == []


@current
def test_every_path_that_is_named_exists(document):
    """A path counts that begins with one of the project's folders."""
    text = read(document).replace("service/rust-ml-api-service", "")  # kubectl's way to name a Service
    named = set(re.findall(rf"\b(?:{'|'.join(FOLDERS)})/[\w/.-]*\w", text))

    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@current
def test_every_make_command_that_is_named_exists(document):
    text = read(document)
    named = set(re.findall(r"(?:`|\$ )(?:[A-Z_]+=\S+ )*make ([a-z0-9-]+)", text))

    assert named <= MAKE_TARGETS


@current
def test_every_module_that_is_run_exists(document):
    text = read(document)
    named = {
        name
        for name in re.findall(r"python3? -m ([a-z_.]+[a-z_])", text)
        if name.partition(".")[0] in FOLDERS
    }

    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_the_architecture_names_every_module_of_the_service():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    storeys = text[text.index("## The storeys") : text.index("## The life of one request")]
    modules = {path for path in (ROOT / "service").rglob("*.py") if path.name != "__init__.py"}

    assert {path.name for path in modules} == set(re.findall(r"`(\w+\.py)`", storeys))
    for package in {path.parent for path in modules if path.parent.name != "service"}:
        assert f"`{package.name}/`" in storeys


def test_the_architecture_names_what_exists_in_the_file_that_it_names():
    """A row such as "`api/body.py` `read_body`" names a file and things in it."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = [
        (file, name)
        for file, names in re.findall(r"`((?:\w+/)?\w+\.py)`((?: \(?`\w+`\)?(?:,| and)?)+)", text)
        for name in re.findall(r"`(\w+)`", names)
    ]

    missing = [
        (file, name)
        for file, name in named
        if not re.search(
            rf"\b(?:def|class) {name}\b|^{name}\b", (ROOT / "service" / file).read_text(), re.MULTILINE
        )
    ]
    assert len(named) > 5
    assert missing == []


def test_every_file_that_the_architecture_names_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))

    assert len(named) > 20
    assert [
        path for path in sorted(named) if not ((ROOT / "service" / path).exists() or (ROOT / path).exists())
    ] == []


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
