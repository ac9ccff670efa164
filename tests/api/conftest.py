"""What the tests of the page share: a browser for each module, and the page in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.server import Server

WINDOW = {"width": 1000, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser with an empty profile."""
    with Browser() as browser:
        browser.window(**WINDOW)
        yield browser


@pytest.fixture
def page(browser: Browser, live_server: Server) -> Iterator[Browser]:
    """The page, just opened; nothing may have been complained about at the end."""
    browser.events.clear()
    browser.window(**WINDOW)
    # By way of another one: an address that differs in its fragment only would load nothing.
    browser.call("Page.navigate", url="about:blank")
    browser.open(live_server.url)
    yield browser
    assert browser.console_messages() == []
    assert all(
        address.startswith((live_server.url, "data:", "blob:", "about:")) for address in browser.requested()
    )
