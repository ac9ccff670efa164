"""The documents become a site in which every link leads somewhere, and that loads nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from mkdocs.exceptions import Abort

from tests.support.paths import ROOT
from tools import site


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the site of this project's documents."""
    folder = tmp_path_factory.mktemp("site")
    site.build_site(ROOT, folder / "documents", folder / "site")
    return folder / "site"


def test_every_document_is_a_page(built):
    documents = {path.relative_to(ROOT) for pattern in site.DOCUMENTS for path in ROOT.glob(pattern)}
    pages = {path.parent / ("index" if path.name == "README.md" else path.stem) for path in documents}

    assert len(pages) > 20
    assert [page for page in pages if not (built / f"{page}.html").exists()] == []


def test_pictures_and_linked_files_are_there(built):
    start = (built / "index.html").read_text()
    pictures = re.findall(r'(?:src|srcset)="([^"]+\.(?:png|svg))"', start)
    assert ".github/page-light.png" in pictures
    assert [picture for picture in pictures if not (built / picture).exists()] == []
    assert (built / "benchmarks" / "results.svg").exists()


def test_nothing_is_loaded_from_elsewhere(built):
    for page in built.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)\b[^>]*\bsrc="(?:https?:)?//[^"]*"', text)
        loaded += re.findall(r'<link\b[^>]*rel="(?:stylesheet|preconnect)"[^>]*href="(?:https?:)?//', text)
        assert loaded == [], page


def test_code_is_shown_as_code(built):
    """The words after a block's language, which are for the tests, would break it."""
    for page in built.rglob("*.html"):
        assert "```" not in page.read_text(), page


@pytest.mark.parametrize("link", ["[x](nowhere.md)", "[x](../README.md#nowhere)", "[x](#nowhere)"])
def test_a_link_that_leads_nowhere_ends_the_build(link, tmp_path):
    project = tmp_path / "project"
    site.lay_out(ROOT, project)
    settings = project / "docs" / "settings.md"
    settings.write_text(f"{settings.read_text()}\n{link}\n")

    with pytest.raises(Abort):
        site.build_site(project, tmp_path / "documents", tmp_path / "site")
