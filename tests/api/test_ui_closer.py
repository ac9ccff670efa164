"""A closer look on the page: links, the command, what mattered, and real test digits."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests.support.http import post
from tests.support.page import ANSWERED, draw
from tools.gallery import choose, write

pytestmark = pytest.mark.browser

LABEL = "document.getElementById('label').value"
SEEN = "[...document.getElementById('preview').getContext('2d').getImageData(0, 0, 28, 28).data]"


def seen(page):
    """Return the pixels that the page says the model saw, 0..255."""
    return np.array(page.evaluate(SEEN)).reshape(-1, 4)[:, 3]


def test_a_link_draws_the_same_again(page, digits):
    draw(page, digits[3])
    before, link = seen(page), page.evaluate("document.getElementById('link').href")

    page.call("Page.navigate", url="about:blank")
    page.open(link)

    assert page.wait_for(ANSWERED) == "0"
    assert len(link) < 1000
    assert np.abs(seen(page) - before).mean() < 3


def test_links_that_are_broken_or_too_long_draw_nothing(page):
    read = "import('./static/link.js').then(({ fromFragment }) => FRAGMENTS.map(fromFragment))"
    fragments = [
        "",
        "#",
        "#d=",
        "#d=AAA",
        "#d=AAAA.",
        "#d=AA%20",
        "#d=" + "AAAA" * 2000,
        "#d=AAAA<b>",
        "x#d=AAAA",
    ]

    assert page.evaluate(read.replace("FRAGMENTS", json.dumps(fragments))) == [None] * len(fragments)
    assert page.evaluate(read.replace("FRAGMENTS", '["#d=AAAA__AA"]')) == [[[[0, 0], [1, 0]]]]


def test_a_link_is_short_however_long_the_drawing(page):
    scribble = np.random.default_rng(0).random((5000, 2)).tolist()

    link = page.evaluate(
        f"import('./static/link.js').then(({{ toFragment, fromFragment }}) => "
        f"[toFragment([{scribble}])].map((link) => [link?.length ?? 0, link && fromFragment(link)])[0])"
    )

    assert link[0] <= 4000
    assert (link[0] == 0) == (link[1] is None)


def test_the_command_gets_the_same_answer(page, digits):
    draw(page, digits[1])
    page.wait_for("document.getElementById('command').textContent.startsWith('echo ')")

    done = subprocess.run(
        ["bash", "-c", page.text("#command")], capture_output=True, text=True, check=True, timeout=30
    )

    answer = json.loads(done.stdout)
    assert str(answer["digit"]) == page.text("#label") == "2"
    shares = page.evaluate(
        "[...document.querySelectorAll('#bars i')]"
        ".map((bar) => Number(bar.style.getPropertyValue('--share')))"
    )
    assert answer["probabilities"] == pytest.approx(shares, abs=1e-6)


def test_what_mattered_is_measured_part_by_part(page, digits, live_server):
    draw(page, digits[0])
    image = (seen(page) / 255).reshape(28, 28)
    page.click("#explain")
    page.wait_for("!document.getElementById('map').hidden")

    places = [(y, x) for y in range(7) for x in range(7) if image[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].any()]
    images = np.repeat(image[None], len(places), axis=0)
    for without, (y, x) in zip(images, places, strict=True):
        without[4 * y : 4 * y + 4, 4 * x : 4 * x + 4] = 0
    answers = post(live_server, {"images": images.tolist()}, path="/predict?draft=true").json()["predictions"]
    least = int(np.argmin([answer["probabilities"][7] for answer in answers]))
    shown = page.evaluate(
        "[...document.getElementById('map-patches').children].map((patch) => "
        "[patch.style.getPropertyValue('--y'), patch.style.getPropertyValue('--x'), patch.matches('.most')])"
    )
    assert [(int(y), int(x)) for y, x, _ in shown] == places
    assert [most for *_, most in shown].index(True) == least
    words = page.text("#map-words")
    read = answers[least]["digit"]
    assert words.startswith(
        "Without the framed part it is still a 7"
        if read == 7
        else f"Without the framed part it would be read as {read}"
    )


def test_the_gallery_shows_what_the_model_makes_of_real_digits(page, live_server):
    page.evaluate("document.getElementById('gallery').open = true")
    page.wait_for("document.getElementById('gallery-words').textContent.includes('are read right')")

    truth = page.evaluate("fetch('static/gallery.json').then((answer) => answer.json())")["labels"]
    tiles = page.evaluate(
        "[...document.querySelectorAll('#tiles canvas')].map((tile) => "
        "[...tile.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0))"
    )
    images = np.array(tiles, np.float64) / 255
    answers = post(live_server, {"images": images.tolist()}).json()["predictions"]
    wrong = [answer["digit"] != label for answer, label in zip(answers, truth, strict=True)]
    marked = "[...document.querySelectorAll('#tiles li')].map((item) => item.matches('.wrong'))"
    assert page.evaluate(marked) == wrong
    assert page.text("#gallery-words").startswith(f"{40 - sum(wrong)} of these 40 are read right")
    place = wrong.index(True) if any(wrong) else 0
    page.evaluate(f"document.querySelectorAll('#tiles button')[{place}].click()")
    page.wait_for(f"{LABEL} === '{answers[place]['digit']}' && {ANSWERED}")
    assert seen(page).tolist() == tiles[place]


def test_the_gallery_has_the_digits_that_the_weights_get_wrong(digits, labels, model, tmp_path):
    chosen = choose(digits, labels.astype(np.int64))
    flat = (digits / 255).reshape(-1, 1, 784).astype(np.float32)
    logits = np.concatenate([model.logits(image).copy() for image in flat])
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)

    write(digits[chosen], labels[chosen].astype(np.int64), tmp_path)

    assert set(wrong) <= set(chosen)
    assert len(set(chosen)) == 40
    with Image.open(tmp_path / "gallery.png") as sprite:
        assert sprite.size == (280, 112)
        tile = np.asarray(sprite)[28:56, 56:84]
    np.testing.assert_array_equal(tile, digits[chosen[12]])
    assert json.loads((tmp_path / "gallery.json").read_text())["labels"] == labels[chosen].tolist()
