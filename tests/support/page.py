"""What a person does on the page, done in a real browser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.support.browser import Browser
from tests.support.strokes import strokes

ANSWERED = "document.getElementById('answer').ariaBusy === 'false' && document.getElementById('label').value"
EMPTY = "document.getElementById('clear').disabled && document.getElementById('answer').ariaBusy === 'false'"
ANSWERS = "document.querySelectorAll('.strip li').length"


def draw(browser: Browser, digit: NDArray[np.uint8], *, size: float = 1, at: float = 0.5) -> str:
    """Draw a digit, shape (28, 28), stroke by stroke with the mouse, and return what the page makes of it.

    ``size`` is what share of the paper the image covers, ``at`` where its middle lies from left to right.
    """
    left, top, width, height = browser.box("#canvas")
    for line in strokes(digit):
        browser.draw(
            [
                (left + (at + (x / 28 - 0.5) * size) * width, top + (0.5 + (y / 28 - 0.5) * size) * height)
                for x, y in line
            ]
        )
    return str(browser.wait_for(ANSWERED))


def clear(browser: Browser) -> None:
    """Clear the page, and wait until it is as it was at first."""
    browser.key("Escape")
    browser.wait_for(EMPTY)
