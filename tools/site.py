"""Build the documents as a site, with MkDocs: build/site.

    python -m tools.site

MkDocs takes one folder. These documents lie where they are read on their own, as the chart's README with the
chart. So they are laid out in build/documents as they lie here, with the files that they link to, and every
link stays as it is.
A link or an anchor that leads nowhere ends the build with an error.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "*.md",
    "docs/*.md",
    "examples/**/*.md",
    "training/*.md",
    "benchmarks/*.md",
    "charts/*/README.md",
)
# What is linked: [text](target#anchor), and src="target" of a picture.
LINK = re.compile(r'\]\(([^)\s#]+)[^)]*\)|(?:src|srcset)="([^"]+)"')


def main() -> None:
    """Build the site."""
    build_site(ROOT, ROOT / "build" / "documents", ROOT / "build" / "site")


def build_site(root: Path, documents: Path, site: Path) -> None:
    """Lay out the documents of a project in a folder, and build a site of them in another."""
    shutil.rmtree(documents, ignore_errors=True)
    documents.mkdir(parents=True)
    lay_out(root, documents)
    config = load_config(
        str(ROOT / "docs" / "mkdocs.yml"), docs_dir=str(documents), site_dir=str(site), strict=True
    )
    build(config)


def lay_out(root: Path, folder: Path) -> None:
    """Copy the documents of a project, and the files they link to, to the same places in a folder."""
    for document in sorted({path for pattern in DOCUMENTS for path in root.glob(pattern)}):
        text = document.read_text()
        for match in LINK.finditer(text):
            target = (document.parent / (match[1] or match[2])).resolve()
            if target.is_file() and target.is_relative_to(root) and target.suffix != ".md":
                copied = folder / target.relative_to(root)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(target, copied)
        page = folder / document.relative_to(root)
        page.parent.mkdir(parents=True, exist_ok=True)
        # The word after a block's language is for the tests; see tests/support/readme.py.
        page.write_text(re.sub(r"(?m)^```(\w+) .*$", r"```\1", text))


if __name__ == "__main__":
    try:
        main()
    except Abort as error:
        sys.exit(str(error))
