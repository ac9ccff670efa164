"""The page for a model that is not of digits, in a real browser."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from PIL import Image

from tests.support.classifiers import CLASSIFIERS, Classifier
from tests.support.http import get, post
from tests.support.page import ANSWERED
from tests.support.pictures import save

pytestmark = pytest.mark.browser

MODELS = {
    "colour, cropped": CLASSIFIERS["two classes, 64 x 64 in colour"],
    "grey, fitted": CLASSIFIERS["three classes, 20 x 30"],
    "many classes": Classifier(
        3, 32, 32, [f"a class with a long name, number {place}" for place in range(500)]
    ),
}
NOISE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
PICTURE = save(Image.fromarray(NOISE).resize((240, 180), Image.Resampling.BICUBIC))
ERROR_SHOWN = "document.querySelector('.status.trouble')?.textContent"


@pytest.fixture(params=MODELS)
def page(request, browser, start_server, tmp_path):
    """The page, the classifier and the service."""
    classifier = MODELS[request.param]
    server = start_server(MODEL_PATH=classifier.write(tmp_path / "weights.pt"))
    browser.events.clear()
    browser.open(server.url)
    yield browser, classifier, server
    assert browser.console_messages() == []
    assert all(address.startswith((server.url, "data:", "blob:")) for address in browser.requested())


def give(browser, data=PICTURE, *, how="drop", type_="image/png", name="some picture.png"):
    """Drop or paste a file."""
    content = json.dumps(base64.b64encode(data).decode())
    event = "DragEvent('drop', {dataTransfer" if how == "drop" else "ClipboardEvent('paste', {clipboardData"
    browser.evaluate(
        f"(() => {{ const bytes = Uint8Array.from(atob({content}), (c) => c.charCodeAt(0));"
        f"const file = new File([bytes], {name!r}, {{type: {type_!r}}});"
        f"const files = new DataTransfer(); files.items.add(file);"
        f"document.dispatchEvent(new {event}: files, bubbles: true}})); }})()"
    )


def choose(browser, path):
    """Choose a file, as with the button."""
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])


def test_a_picture_is_shown_with_what_the_model_saw_and_the_likeliest_classes(page):
    browser, classifier, server = page

    give(browser)
    label = browser.wait_for(ANSWERED)

    answer = post(server, PICTURE, "image/png", path="/predict?top=5&preview=true").json()
    assert label == answer["top"][0]["label"] == browser.text("#bars .top b")
    rows = browser.evaluate(
        "[...document.querySelectorAll('#bars li')].map((row) => [row.children[0].textContent, "
        "Number(row.children[1].style.getPropertyValue('--share'))])"
    )
    assert [name for name, _ in rows] == [each["label"] for each in answer["top"]]
    assert [share for _, share in rows] == pytest.approx([each["probability"] for each in answer["top"]])
    seen = browser.evaluate(
        "(({width, height}) => [height, width, [...document.getElementById('preview').getContext('2d')"
        ".getImageData(0, 0, width, height).data]])(document.getElementById('preview'))"
    )
    assert seen[:2] == [classifier.height, classifier.width]
    pixels = np.array(seen[2]).reshape(classifier.height, classifier.width, 4)
    shown = pixels[:, :, :3] if classifier.channels == 3 else pixels[:, :, 3]
    expected = np.reshape(answer["image"], classifier.sides) * 255
    assert np.abs(shown - expected).max() <= 0.51
    assert browser.text("#model-name") == "some-classifier"
    assert f"{classifier.height} × {classifier.width} pixels" in browser.text("#takes")  # noqa: RUF001
    command = f"curl '{server.url}/predict?top=5' -F 'image=@some picture.png'"
    assert browser.text("#command") == command
    assert not browser.evaluate("document.getElementById('picture').hidden")


@pytest.mark.parametrize("page", ["colour, cropped"], indirect=True)
def test_a_file_is_chosen_pasted_and_cleared(page, tmp_path):
    browser, _, server = page
    paths = []
    for level in (20, 250):
        paths.append(tmp_path / f"{level}.jpg")
        paths[-1].write_bytes(save(Image.new("RGB", (90, 70), (level, level, 90)), "JPEG"))
    confidences = [
        f"{100 * post(server, path.read_bytes(), 'image/jpeg').json()['confidence']:.1f} %" for path in paths
    ]
    assert confidences[0] != confidences[1]

    choose(browser, paths[0])
    browser.wait_for(f"document.getElementById('confidence').textContent === {confidences[0]!r}")
    give(browser, paths[1].read_bytes(), how="paste", type_="image/jpeg", name="2.jpg")
    browser.wait_for(f"document.getElementById('confidence').textContent === {confidences[1]!r}")
    assert browser.evaluate("document.querySelectorAll('#strip li').length") == 2
    browser.key("Escape")

    browser.wait_for("document.getElementById('clear').disabled")
    assert browser.text("#label") == "–"  # noqa: RUF001 - typography
    assert browser.evaluate("document.getElementById('picture').hidden")


@pytest.mark.parametrize("page", ["grey, fitted"], indirect=True)
def test_what_is_no_picture_is_told(page):
    browser, *_ = page

    give(browser, b"GIF89a", type_="image/gif", name="a.gif")
    assert browser.wait_for(ERROR_SHOWN) == "a.gif is not a PNG, JPEG or WebP picture."
    give(browser, b"rubbish")
    browser.wait_for(f"{ERROR_SHOWN}.includes('the body is not a PNG, JPEG or WebP picture')")

    give(browser)
    browser.wait_for(ANSWERED)
    browser.wait_for(f"!{ERROR_SHOWN}")
    browser.events.clear()  # the browser's own line about the 400


def test_the_bundled_model_has_paper(browser, live_server):
    assert 'id="canvas"' in get(live_server, "/").text
    assert 'id="picture"' not in get(live_server, "/").text


@pytest.mark.parametrize("page", ["many classes"], indirect=True)
def test_nothing_overflows_on_a_phone(page):
    browser, *_ = page
    browser.window(width=360, height=740, phone=True)

    give(browser)
    browser.wait_for(ANSWERED)

    assert browser.evaluate("document.documentElement.scrollWidth") == 360
    assert browser.evaluate("getComputedStyle(document.querySelector('.camera')).display") != "none"
    browser.window(width=1000, height=900)
