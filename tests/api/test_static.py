"""The files of the page: each with its headers, and not sent again where the browser has it."""

from __future__ import annotations

from service.api.ui import STATIC
from tests.support.http import get


def test_the_page_loads_nothing_from_elsewhere(live_server):
    files = [f"/static/{file.name}" for file in STATIC.iterdir() if file.suffix != ".html"]
    assert len(files) > 5
    for path in ("/", "/docs", *files):
        response = get(live_server, path)

        assert response.status_code == 200, path
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        again = get(live_server, path, **{"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
