"""The page in a real browser: drawn on, fed, overloaded, left alone and restarted."""

from __future__ import annotations

import base64
import json

import pytest
from PIL import Image

from tests.support.balancer import Balancer
from tests.support.http import get
from tests.support.page import ANSWERED, ANSWERS, clear, draw
from tests.support.pictures import enlarged, save
from tests.support.strokes import strokes
from tools.screenshots import REPLICAS, WINDOWS, take

pytestmark = pytest.mark.browser

ERROR_SHOWN = "document.querySelector('.status.trouble')?.textContent"


def most_concurrent(browser):
    """Return how many predictions were asked for at the same time, at most."""
    open_requests, most = set(), 0
    for event in browser.events:
        about = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent" and "/predict" in about["request"]["url"]:
            open_requests.add(about["requestId"])
        elif event["method"] in ("Network.loadingFinished", "Network.loadingFailed"):
            open_requests.discard(about["requestId"])
        most = max(most, len(open_requests))
    return most


def test_twenty_digits_drawn_by_hand(page, digits, labels):
    right = 0
    for digit, label in zip(digits[:20], labels, strict=False):
        clear(page)
        right += draw(page, digit) == str(label)

    assert right >= 18
    assert most_concurrent(page) == 1


@pytest.mark.parametrize("size", [0.13, 0.06])
def test_small_digits_are_read_like_large_ones(page, digits, labels, size):
    right = 0
    for digit, label in zip(digits[:14], labels, strict=False):
        clear(page)
        right += draw(page, digit, size=size) == str(label)

    assert right == 14


def test_the_answer_is_shown_whole(page, digits, live_server):
    draw(page, digits[0])

    model = get(live_server, "/v2/models/mnist-cnn").json()
    assert page.text("#label") == "7"
    assert page.text("#model") == f"mnist-cnn {model['versions'][0]}"
    assert page.text("#latency").endswith(" ms")
    served_by = get(live_server, "/healthz").headers["X-Served-By"]
    assert page.text("#replica") == served_by
    assert page.evaluate("document.querySelectorAll('#bars li').length") == 10
    assert page.text("#bars .top b") == "7"
    ink = "[...document.getElementById('preview').getContext('2d').getImageData(0, 0, 28, 28).data]"
    opaque = page.evaluate(f"{ink}.filter((value, i) => i % 4 === 3 && value > 127).length")
    assert 30 < opaque < 300


def test_undo_and_clear(page, digits):
    draw(page, digits[0])
    left, top, *_ = page.box("#canvas")
    page.mouse("mousePressed", left + 40, top + 40)
    page.mouse("mouseReleased", left + 40, top + 40)

    page.click("#undo")

    assert page.wait_for(ANSWERED) == "7"
    for _ in strokes(digits[0]):
        page.key("z", modifiers=2)
    page.wait_for("document.getElementById('undo').disabled")
    assert page.text("#label") == "–"  # noqa: RUF001 - typography
    assert page.evaluate("getComputedStyle(document.getElementById('hint')).display") != "none"
    draw(page, digits[0])
    page.click("#clear")
    page.wait_for("document.getElementById('clear').disabled")


def test_a_finger_draws_on_a_phone(page):
    page.window(**WINDOWS["phone"])
    page.open(page.evaluate("location.href"))
    assert page.evaluate("getComputedStyle(document.querySelector('.camera')).display") != "none"
    assert page.evaluate("document.querySelector('.camera input').getAttribute('capture')") == "environment"
    left, top, width, height = page.box("#canvas")

    for i in range(21):
        point = {"x": left + width / 2, "y": top + height * (0.2 + 0.03 * i)}
        page.call("Input.dispatchTouchEvent", type="touchMove" if i else "touchStart", touchPoints=[point])
    page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    assert page.wait_for(ANSWERED) == "1"
    assert page.evaluate("scrollY") == 0


def test_keys_draw_a_one(page):
    page.evaluate("document.getElementById('canvas').focus()")

    page.key(" ")
    for _ in range(14):
        page.key("ArrowDown")
    page.key(" ")

    assert page.wait_for(ANSWERED) == "1"
    assert not page.evaluate("document.getElementById('pen').hidden")


def test_everything_can_be_reached_by_tab_and_has_a_name(page, digits):
    draw(page, digits[0])
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]

    focusable = [
        node
        for node in nodes
        if any(p["name"] == "focusable" and p["value"].get("value") for p in node.get("properties", []))
        and node["role"]["value"] != "RootWebArea"
    ]

    named = {node["role"]["value"]: node["name"]["value"] for node in focusable}
    assert all(named.values()), named
    assert len(focusable) >= 7


def transfer(kind, picture, name):
    """Let the page receive an event with a file, as from the clipboard or another window."""
    data = base64.b64encode(picture).decode()
    return f"""(() => {{
        const bytes = Uint8Array.from(atob({data!r}), (character) => character.charCodeAt(0));
        const files = new DataTransfer();
        files.items.add(new File([bytes], {name!r}));
        document.dispatchEvent({kind}(files));
    }})()"""


DROP = "((data) => new DragEvent('drop', { dataTransfer: data, cancelable: true }))"
PASTE = "((data) => new ClipboardEvent('paste', { clipboardData: data }))"


@pytest.mark.parametrize("event", [DROP, PASTE], ids=["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page, digits, labels, event):
    for i in range(3):
        picture = enlarged(digits[i], i)
        wide = Image.new("L", (500, 280), 255)
        wide.paste(picture, (100, 0))
        inverted = wide.point(lambda level: 255 - level)
        page.evaluate(transfer(event, save(inverted), "digit.png"))
        page.wait_for("!document.getElementById('clear').disabled")
        assert page.wait_for(ANSWERED) == str(labels[i])
        clear(page)


def test_a_picture_is_opened(page, digits, tmp_path):
    path = tmp_path / "seven.jpg"
    path.write_bytes(save(enlarged(digits[0], 0).convert("RGB"), "JPEG"))
    page.call("DOM.enable")
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]

    page.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    page.wait_for("!document.getElementById('clear').disabled")
    assert page.wait_for(ANSWERED) == "7"
    page.call("DOM.disable")


def test_what_is_no_picture_is_refused(page):
    page.evaluate(transfer(DROP, b"no picture", "notes.txt"))

    assert "not a picture" in page.wait_for(ERROR_SHOWN)


def test_replicas_are_told_apart(page, live_server, digits):
    with Balancer(live_server.url, REPLICAS) as balancer:
        page.open(balancer.url)
        draw(page, digits[0])
        page.click("#repeat")
        page.wait_for(f"{ANSWERS} >= 9")
        page.click("#repeat")

        shown = page.evaluate(
            "[...document.querySelectorAll('.replicas li')].map((line) => line.children[1].textContent)"
        )
        colours = page.evaluate(
            "[...new Set([...document.querySelectorAll('.strip li')]"
            ".map((chip) => getComputedStyle(chip).backgroundColor))]"
        )
        page.open(live_server.url)

    assert sorted(shown) == sorted(REPLICAS)
    assert len(colours) == 3
    page.events.clear()


def test_pictures_of_the_page_in_every_window(browser, live_server, digits, tmp_path):
    with Balancer(live_server.url, REPLICAS) as balancer:
        pictures = take(browser, balancer.url, digits[:1], tmp_path, answers=5)
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")

    brightness = {}
    for path, (name, window) in zip(pictures, WINDOWS.items(), strict=True):
        with Image.open(path) as picture:
            assert picture.size == (2 * window["width"], 2 * window["height"])
            brightness[name] = picture.convert("L").resize((1, 1)).getpixel((0, 0))
    assert brightness["dark"] < 80 < 200 < brightness["light"]
    assert brightness["phone"] > 200


def test_an_overloaded_service_is_waited_for(browser, live_server, digits):
    """The browser itself plays a service at capacity, then lets the real one answer."""
    browser.open(live_server.url)
    browser.call("Fetch.enable", patterns=[{"urlPattern": "*/predict*"}])
    browser.events.clear()
    left, top, *_ = browser.box("#canvas")
    browser.mouse("mousePressed", left + 100, top + 50)
    browser.mouse("mouseMoved", left + 100, top + 150)
    browser.mouse("mouseReleased", left + 100, top + 250)
    paused = browser.wait_for_event("Fetch.requestPaused")
    problem = {"title": "The service is at capacity", "detail": "1024 requests wait already"}
    browser.call(
        "Fetch.fulfillRequest",
        requestId=paused["requestId"],
        responseCode=503,
        responseHeaders=[{"name": "Retry-After", "value": "1"}],
        body=base64.b64encode(json.dumps(problem).encode()).decode(),
    )

    assert browser.wait_for(ERROR_SHOWN).startswith("The service is busy.")
    browser.call("Fetch.disable")
    assert browser.wait_for(ANSWERED) == "1"
    assert browser.evaluate(ERROR_SHOWN) is None


def test_a_service_that_was_gone_is_found_again(browser, start_server, free_tcp_port, digits):
    server = start_server(PORT=free_tcp_port)
    browser.open(server.url)
    draw(browser, digits[0])
    server.kill()
    left, top, *_ = browser.box("#canvas")
    browser.mouse("mousePressed", left + 40, top + 40)
    browser.mouse("mouseReleased", left + 40, top + 40)
    assert browser.wait_for(ERROR_SHOWN).startswith("The service can’t be reached.")  # noqa: RUF001 - typography

    start_server(PORT=free_tcp_port)

    browser.wait_for(ANSWERED)
    assert browser.evaluate(ERROR_SHOWN) is None


def test_a_key_is_asked_for_and_kept(browser, start_server, digits, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("opensesame\n")
    browser.open(start_server(API_KEYS_FILE=keys).url)
    left, top, width, height = browser.box("#canvas")
    browser.mouse("mousePressed", left + width / 2, top + height / 4)
    browser.mouse("mouseMoved", left + width / 2, top + height / 2)
    browser.mouse("mouseReleased", left + width / 2, top + height * 3 / 4)
    browser.wait_for("!document.getElementById('key').hidden")
    assert browser.text("#status") == "Enter a key to get answers."
    assert browser.evaluate(ERROR_SHOWN) is None

    browser.call("Input.insertText", text="sesame")
    browser.click("#key button")
    assert browser.wait_for(ERROR_SHOWN) == "This key is not one that the service knows."
    browser.evaluate("document.getElementById('key-value').select()")
    browser.call("Input.insertText", text="opensesame")
    browser.click("#key button")

    assert browser.wait_for(f"document.getElementById('key').hidden && {ANSWERED}") == "1"
    browser.evaluate("sessionStorage.clear()")
