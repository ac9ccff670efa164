"""What the page says while it waits, while something is wrong, and of answers that are none for sure."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tests.support.http import post
from tests.support.metrics import sample, scrape
from tests.support.page import ANSWERED, ANSWERS, clear, draw
from tests.support.strokes import strokes

pytestmark = pytest.mark.browser

STATUS = "document.getElementById('status').textContent"
LABEL = "document.getElementById('label').value"
STALE = "document.getElementById('answer').classList.contains('stale')"
UNSURE = "document.getElementById('answer').classList.contains('unsure')"
ERROR_SHOWN = "document.querySelector('.status.trouble')?.textContent"
AGAIN_HIDDEN = "document.getElementById('again').hidden"
HTML = "<html><body>Not today</body></html>"


@pytest.fixture
def held(page):
    """The page, whose predictions wait until they are answered with ``answer``."""
    page.call("Fetch.enable", patterns=[{"urlPattern": "*/predict*"}])
    yield page
    page.call("Fetch.disable")
    page.evaluate("document.getElementById('clear').click()")
    page.events.clear()  # the browser's own lines about refusals


def dot(page):
    left, top, *_ = page.box("#canvas")
    page.draw([(left + 100, top + 50), (left + 100, top + 150), (left + 100, top + 250)])


def answer(page, status, body, **headers):
    """Answer the next prediction in the service's place."""
    paused = page.wait_for_event("Fetch.requestPaused")
    page.events[:] = [event for event in page.events if event["method"] != "Fetch.requestPaused"]
    page.call(
        "Fetch.fulfillRequest",
        requestId=paused["requestId"],
        responseCode=status,
        responseHeaders=[{"name": name, "value": value} for name, value in headers.items()],
        body=base64.b64encode(body.encode()).decode(),
    )


def asked(page):
    page.call("Runtime.evaluate", expression="0")
    return sum("/predict" in address for address in page.requested())


def test_an_answer_that_takes_long_is_announced_and_the_last_one_greyed(page, digits):
    assert draw(page, digits[0]) == "7"
    page.wait_for(f"{ANSWERS} === 1")
    page.call("Fetch.enable", patterns=[{"urlPattern": "*/predict*"}])

    dot(page)

    page.wait_for(f"{STATUS} === 'Thinking…' && {STALE}")
    assert page.text("#label") == "7"
    page.call("Fetch.disable")
    page.wait_for(f"{ANSWERED} && !{STALE} && {STATUS} !== 'Thinking…'")


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (403, {}, "A proxy in front of the service answers 403 Forbidden"),
        (500, {}, "A proxy in front of the service answers 500 Internal Server Error"),
        (200, {}, "Something between this page and the service answered in its place."),
        (302, {"Location": "/login"}, "Something between this page and the service leads elsewhere."),
    ],
)
def test_the_word_of_a_proxy_is_told_and_not_asked_for_again(held, status, headers, said):
    dot(held)
    answer(held, status, HTML, **headers)

    assert held.wait_for(ERROR_SHOWN).startswith(said)
    time.sleep(0.3)
    asked(held)  # reads the events
    if any(event["method"] == "Fetch.requestPaused" for event in held.events):
        answer(held, status, HTML, **headers)  # about the rest of the stroke
    before = asked(held)
    time.sleep(1)  # longer than it waits for a service that is gone, or for a drawing to be finished
    assert asked(held) == before
    assert held.text("#label") == "–"  # noqa: RUF001 - typography
    held.call("Fetch.disable")
    held.click("#again")
    held.wait_for(f"{LABEL} === '1'")
    assert held.evaluate(AGAIN_HIDDEN)


def test_a_proxy_without_a_service_is_asked_again_but_not_for_ever(held):
    dot(held)
    answer(held, 502, HTML)
    said = held.wait_for(ERROR_SHOWN)
    assert said.startswith("A proxy in front of the service answers 502 Bad Gateway. Your drawing is kept")
    held.evaluate("((now) => { performance.now = () => now() + 60_000; })(performance.now.bind(performance))")

    answer(held, 502, HTML)

    said = "A proxy in front of the service answers 502 Bad Gateway. Trying again did not help."
    held.wait_for(f"{ERROR_SHOWN} === {said!r}")
    held.call("Fetch.disable")
    held.click("#again")
    held.wait_for(f"{LABEL} === '1'")


def test_finished_drawings_are_counted_and_guesses_are_not(page, live_server, digits, labels):
    counted = sum(n for key, n in scrape(live_server).items() if key[0] == "predictions_total")
    requests = sample("http_requests_total", route="/predict", method="POST", status="200")
    before = scrape(live_server).get(requests, 0)

    for i, label in enumerate(labels[:2].tolist(), start=1):
        assert draw(page, digits[i - 1]) == str(label)
        page.wait_for(f"{ANSWERS} === {i}")
        clear(page)

    shown = page.evaluate("[...document.querySelectorAll('.strip li')].map((chip) => chip.firstChild.data)")
    after = scrape(live_server)
    assert shown == [str(label) for label in labels[:2]]
    assert sum(n for key, n in after.items() if key[0] == "predictions_total") == counted + 2
    assert after[requests] - before >= 4
    addresses = [address for address in page.requested() if "/predict" in address]
    assert sum("draft=false" in address for address in addresses) == 2


def test_two_digits_are_hinted_at_and_one_never_is(page, digits):
    data = [[[[x / 28, y / 28] for x, y in line] for line in strokes(digit)] for digit in digits]
    counts = page.evaluate(
        f"import('./static/strokes.js').then((strokes) => {json.dumps(data)}.map(strokes.countGroups))"
    )

    draw(page, digits[2], size=0.5, at=0.25)
    draw(page, digits[0], size=0.5, at=0.75)

    assert counts.count(1) >= 198
    page.wait_for(f"{STATUS}.startsWith('These look like 2 digits') && {UNSURE}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confidence": 0.55}, "Not sure: 7, or perhaps 2."),
        ({"outlier": True}, "This does not look like a digit. Its nearest is 7."),
        ({"outlier": False}, ""),
    ],
)
def test_what_the_model_does_not_know_is_said(held, live_server, digits, change, said):
    pixels = (digits[0] / 255).ravel().tolist()
    prediction = post(live_server, {"image": pixels}, path="/predict?preview=true").json()
    if "confidence" in change:
        shares = [0.0, 0.1, 0.3, 0.05, 0, 0, 0, 0.55, 0, 0]
        prediction["probabilities"] = shares
    dot(held)

    answer(held, 200, json.dumps(prediction | change), **{"Content-Type": "application/json"})

    assert held.wait_for(ANSWERED) == "7"
    assert held.wait_for(f"[{STATUS}]") == [said]
    assert held.evaluate(UNSURE) == bool(said)
    colours = "['label', 'status'].map((id) => getComputedStyle(document.getElementById(id)).color)"
    accent = held.evaluate("getComputedStyle(document.querySelector('nav a')).color")
    assert (held.evaluate(colours)[0] == accent) == (not said)
