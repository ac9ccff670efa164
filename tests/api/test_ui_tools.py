"""Undo and redo, pictures on the paper and their cropping, and how the page fits its window."""

from __future__ import annotations

import base64
import json

import pytest
from PIL import Image

from tests.support.browser import Browser
from tests.support.page import ANSWERED, clear, draw
from tests.support.pictures import enlarged, save

pytestmark = pytest.mark.browser

LABEL = "document.getElementById('label').value"


def paste(page, picture):
    data = json.dumps(base64.b64encode(picture).decode())
    page.evaluate(
        f"(() => {{ const bytes = Uint8Array.from(atob({data}), (c) => c.charCodeAt(0));"
        "const files = new DataTransfer(); files.items.add(new File([bytes], 'a.png'));"
        "document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: files })); })()"
    )
    page.wait_for("!document.getElementById('clear').disabled")


def test_clear_is_undone_and_what_was_undone_is_redone(page, digits):
    assert draw(page, digits[0]) == "7"
    clear(page)

    page.click("#undo")
    page.wait_for(f"{LABEL} === '7' && {ANSWERED}")
    page.click("#redo")
    page.wait_for("document.getElementById('clear').disabled && document.getElementById('redo').disabled")
    page.key("z", modifiers=2)
    page.wait_for(f"{LABEL} === '7' && {ANSWERED}")
    page.key("Z", modifiers=2 | 8)
    page.wait_for("document.getElementById('clear').disabled")
    page.key("z", modifiers=2)
    assert draw(page, digits[0], size=0.1) != "–"  # noqa: RUF001 - typography
    assert page.evaluate("document.getElementById('redo').disabled")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("ink", [0, 255], ids=["black ink", "white ink"])
def test_ink_on_nothing_shows_in_both_colour_schemes(page, digits, dark, ink):
    page.window(width=1000, height=900, dark=dark)
    mask = enlarged(digits[0], 0).convert("L").point(lambda level: 255 - level)
    picture = Image.new("LA", mask.size, (ink, 0))
    picture.putalpha(mask)

    paste(page, save(picture))

    page.wait_for(f"{LABEL} === '7' && {ANSWERED}")
    canvas = "document.getElementById('canvas')"
    corner = page.evaluate(f"[...{canvas}.getContext('2d').getImageData(3, 3, 1, 1).data]")
    assert corner == [255 - ink, 255 - ink, 255 - ink, 255]


@pytest.mark.parametrize("how", ["pointer", "keys"])
def test_a_photo_is_cropped(page, digits, labels, how):
    wide = Image.new("L", (900, 450), 230)
    for i, left in ((0, 20), (1, 600)):
        wide.paste(enlarged(digits[i], i).convert("L").resize((280, 280)), (left, 90))
    paste(page, save(wide))
    page.wait_for(ANSWERED)

    page.click("#crop")
    if how == "pointer":
        left, top, width, height = page.box("#canvas")
        page.draw([(left + 0.02 * width, top + 0.3 * height), (left + 0.36 * width, top + 0.7 * height)])
        page.click("#crop")
    else:
        for _ in range(7):
            page.key("ArrowLeft")
        for _ in range(16):
            page.key("ArrowLeft", modifiers=8)
        page.key("Enter")

    page.wait_for(f"{LABEL} === '{labels[0]}' && {ANSWERED}")
    assert page.evaluate("document.getElementById('crop-overlay').hidden")
    page.click("#undo")
    page.wait_for("!document.getElementById('crop').hidden")
    page.click("#crop")
    page.key("Escape")
    assert not page.evaluate("document.getElementById('clear').disabled")


@pytest.mark.parametrize(
    ("width", "height"),
    [(360, 640), (740, 360), (768, 1024), (1024, 600), (1920, 1000)],
    ids=["phone", "phone on its side", "tablet", "low", "wide"],
)
def test_the_paper_fits_every_window(page, digits, width, height):
    page.window(width=width, height=height, phone=width < 1000)
    draw(page, digits[0])

    left, top, paper, paper_height = page.box("#canvas")
    assert paper == pytest.approx(paper_height, abs=1)
    assert left >= 0
    assert top + paper_height <= height
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for part, card in (("#preview", ".answer"), ("#canvas", ".drawing"), (".tools", ".drawing")):
        x, _, part_width, _ = page.box(part)
        card_x, _, card_width, _ = page.box(card)
        assert card_x <= x and x + part_width <= card_x + card_width, part


def test_without_scripts_there_is_a_word(browser: Browser, live_server):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.call("Page.navigate", url=live_server.url)
    try:
        text = browser.wait_for("document.querySelector('noscript')?.innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)

    assert "JavaScript" in text
    assert "curl" in text
