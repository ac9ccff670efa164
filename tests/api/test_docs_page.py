"""The documentation at /docs in a real browser: every request can be edited, sent and taken away as code."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.support.browser import Browser
from tests.support.paths import ROOT

pytestmark = pytest.mark.browser

AXE = ROOT / "tests" / "support" / "axe"
OPERATIONS = 27
# What can be sent only after the reader has filled in more.
INCOMPLETE = ("No answer: fill in version first", "No answer: choose a file first")
OUTPUTS = "[...document.querySelectorAll('.output')].map(({ textContent }) => textContent)"


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def docs(browser, live_server):
    """The page with every operation on it."""
    browser.open(f"{live_server.url}/docs")
    browser.wait_for(f"document.querySelectorAll('.operation').length === {OPERATIONS}")
    return browser


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe, which looks for what keeps people out."""
    folder = tmp_path_factory.mktemp("axe")
    shutil.copytree(AXE, folder, dirs_exist_ok=True)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def put(browser, selector, value):
    """Give a control of the first operation a value, as typing and choosing do."""
    browser.evaluate(
        f"(() => {{ const control = document.querySelector({json.dumps('#predict ' + selector)});"
        f"control.value = {json.dumps(value)};"
        "for (const type of ['input', 'change']) control.dispatchEvent(new Event(type, { bubbles: true }));"
        "})()"
    )


def run(browser):
    """Send the request of the first operation, and return what the page shows."""
    output = "document.querySelector('#predict .output').textContent"
    browser.evaluate(f"{output} = '…'")
    browser.evaluate("document.querySelector('#predict .example button').click()")
    return browser.wait_for(f"{output} !== '…' && {output}")


def control(browser, name):
    """The selector of the first operation's control under a label."""
    return "#" + browser.evaluate(
        "[...document.querySelectorAll('#predict label')]"
        f".find(({{ textContent }}) => textContent.startsWith({json.dumps(name)})).htmlFor"
    )


def test_every_operation_that_is_complete_is_answered(docs):
    docs.evaluate("document.querySelectorAll('.example button').forEach((each) => each.click())")
    docs.wait_for(f"{OUTPUTS}.filter((text) => text.length > 1).length === {OPERATIONS}")
    outputs = json.loads(docs.evaluate(f"JSON.stringify({OUTPUTS})"))

    answered = [text for text in outputs if text.startswith("200 in ")]
    assert len(answered) >= 17
    assert {text for text in outputs if text not in answered} == set(INCOMPLETE)


def test_every_example_can_be_sent(docs):
    kinds = control(docs, "Kind of body")
    names = json.loads(
        docs.evaluate(f"JSON.stringify([...document.querySelector('{kinds}').options].map((o) => o.value))")
    )
    examples = [name for name in names if not name.endswith("a file of yours")]

    assert len(examples) >= 4
    for name in examples:
        put(docs, kinds, name)
        answer = run(docs)
        assert answer.startswith("200 in "), name
        assert '"digit": 7' in answer, name


def test_the_body_and_the_parameters_can_be_edited(docs):
    put(docs, control(docs, "top"), "2")
    assert '"top": ' in run(docs)

    put(docs, control(docs, "Body"), '{"image": [255]}')

    answer = run(docs)
    assert answer.startswith("422 in ")
    assert "image has 1 pixels; expected 784" in answer


def test_the_code_is_the_request(docs, live_server):
    put(docs, control(docs, "Body"), """{"image": ["it's"]}""")
    codes = {}
    for language in ("curl", "Python", "JavaScript"):
        put(docs, control(docs, "As code"), language)
        codes[language] = docs.evaluate("document.querySelector('#predict .code').textContent")

    assert codes["curl"] == (
        f"curl -X POST '{live_server.url}/predict' -H 'Content-Type: application/json' "
        """-d '{"image": ["it'\\''s"]}'"""
    )
    url = f'"{live_server.url}/predict"'
    assert f"requests.post(\n    {url},\n" in codes["Python"]
    assert f"await fetch({url}, {{\n" in codes["JavaScript"]
    for language in ("Python", "JavaScript"):
        assert json.dumps("""{"image": ["it's"]}""") in codes[language]


def test_a_key_is_sent_but_not_shown(browser, start_server, tmp_path):
    (tmp_path / "keys").write_text("opensesame\n")
    browser.open(f"{start_server(API_KEYS_FILE=tmp_path / 'keys').url}/docs")
    browser.wait_for(f"document.querySelectorAll('.operation').length === {OPERATIONS}")
    assert run(browser).startswith("401 in ")

    browser.click("#key")
    browser.call("Input.insertText", text="opensesame")

    assert run(browser).startswith("200 in ")
    put(browser, control(browser, "As code"), "curl")
    code = browser.evaluate("document.querySelector('#predict .code').textContent")
    assert "-H 'X-API-Key: KEY'" in code
    assert "opensesame" not in code
    browser.evaluate("sessionStorage.clear()")


def test_an_operation_is_found_by_search_and_by_its_address(docs, live_server):
    docs.click("#search")
    docs.call("Input.insertText", text="repository index")
    operations = "[...document.querySelectorAll('.operation')]"
    shown = f"{operations}.filter((each) => each.checkVisibility()).map(({{ id }}) => id)"
    assert json.loads(docs.evaluate(f"JSON.stringify({shown})")) == ["repositoryIndex"]

    docs.open(f"{live_server.url}/healthz")
    docs.open(f"{live_server.url}/docs#metrics")

    assert docs.wait_for("document.getElementById('metrics')?.open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(docs, axe, scheme):
    docs.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    docs.evaluate("document.querySelectorAll('.operation').forEach((each) => { each.open = true; })")
    docs.evaluate("document.querySelector('#predict .example button').click()")
    docs.wait_for("document.querySelector('#predict .output').textContent.startsWith('200')")

    docs.evaluate(f"{axe}; axe.run().then(({{ violations }}) => {{ window.found = violations; }}); 0")
    docs.wait_for("!!window.found")

    found = docs.evaluate("JSON.stringify(found.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))")
    assert json.loads(found) == []
