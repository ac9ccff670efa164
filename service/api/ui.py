"""The page at ``/``, the documentation at ``/docs`` and the few files that they are made of.

No file loads anything from elsewhere, and the Content-Security-Policy holds every one of them to that.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.api.state import service_of
from service.inputs.preprocessing import MNIST

STATIC = Path(__file__).with_name("static")
PAGES = {"/docs": "docs.html"}
# The page at / : paper for a model of MNIST, and for any other one a place for pictures.
PAPER, PICTURE = "index.html", "picture.html"
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    # The browser asks every time and mostly gets a 304: after an update no old page is shown.
    "cache-control": "no-cache",
}


class StaticFile:
    """A file that is served from memory."""

    def __init__(self, path: Path) -> None:
        self._content = path.read_bytes()
        self._media_type = MEDIA_TYPES[path.suffix]
        self._headers = {**HEADERS, "etag": f'"{hashlib.sha256(self._content).hexdigest()[:16]}"'}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file, or with 304 if the client has it."""
        known = Request(scope).headers.get("if-none-match", "")
        if self._headers["etag"] in known:
            response = Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self._headers)
        else:
            response = Response(self._content, headers=self._headers, media_type=self._media_type)
        await response(scope, receive, send)


class FrontPage:
    """The page that suits the model."""

    def __init__(self, paper: StaticFile, picture: StaticFile) -> None:
        self._paper = paper
        self._picture = picture

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page."""
        is_mnist = service_of(scope).card.pictures.method == MNIST
        await (self._paper if is_mnist else self._picture)(scope, receive, send)


def ui_routes() -> list[Route]:
    """Return a route for each page and each file that the pages ask for."""
    files = {path.name: StaticFile(path) for path in sorted(STATIC.iterdir())}
    pages = [Route("/", FrontPage(files.pop(PAPER), files.pop(PICTURE)), methods=["GET"])]
    pages += [Route(path, files.pop(name), methods=["GET"]) for path, name in PAGES.items()]
    return pages + [Route(f"/static/{name}", file, methods=["GET"]) for name, file in files.items()]
