"""The commands and snippets of the README and the guides work; tests/support/readme.py says how."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import requests
import torch
import yaml
from PIL import Image

from service.settings import BUNDLED_MODEL
from tests.support.classifiers import CLASSIFIERS
from tests.support.http import SEVEN
from tests.support.paths import ROOT
from tests.support.readme import TAGS, at, blocks, commands, run

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What may stand in a block that nothing runs here, by its tag.
ELSEWHERE = {
    "docker": {"docker", "make"},
    "cluster": {"kubectl", "helm", "minikube", "curl"},
    "collector": {"pip", "python"},
}
PLAIN = [(path.name, command) for path in DOCUMENTS for command in commands(path)]
TO_MAKE = sorted({command for path in DOCUMENTS for command in commands(path, "install")})


def model_of_cats_and_dogs():
    """A classifier for 64 x 64 pixels in colour; by its pooling it takes other sizes, too."""
    return CLASSIFIERS["two classes, 64 x 64 in colour"].module()


def save_noise(path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    Image.fromarray(noise).save(path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_says_what_runs_it(document):
    text = document.read_text()
    found = blocks(document)

    assert len(found) * 2 == len(re.findall(r"^ *```", text, re.MULTILINE)), "a block that is not read"
    for block in found:
        assert block.tag in TAGS, block
        assert block.language in ("console", "python", "javascript", "yaml", "json"), block
        if block.language == "console":
            assert block.commands(), block
            assert block.text.startswith("$ "), block
        if block.tag in ELSEWHERE:
            programs = {re.sub(r"^([A-Z_]+=\S+ )+", "", command).split()[0] for command in block.commands()}
            assert programs <= ELSEWHERE[block.tag], block


def test_only_the_guides_that_have_a_test_are_left_to_it():
    left = {path.name for path in DOCUMENTS if any(block.tag == "guide" for block in blocks(path))}

    assert left == {"README.md", "from-torchserve.md", "training.md", "your-own-model.md"}


@pytest.mark.parametrize(("document", "command"), PLAIN)
def test_a_command_works(document, command, live_server, tmp_path):
    assert command.startswith("curl "), "nothing here runs other programs: give its block a tag"

    answer = run(command, tmp_path, live_server)

    if "/predict" in command:
        assert json.loads(answer)["digit"] == 7
    else:
        assert answer


@pytest.mark.parametrize("command", TO_MAKE)
def test_make_knows_what_to_do(command, tmp_path):
    done = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert command.startswith("make ")
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_answer_in_the_readme_is_what_the_service_says(live_server):
    [shown] = re.findall(r'^\{"digit.*$', (ROOT / "README.md").read_text(), re.MULTILINE)
    pattern = re.escape(shown).replace("…", ".+")

    answer = requests.post(
        f"{live_server.url}/predict", SEVEN, headers={"Content-Type": "application/json"}, timeout=10
    )

    assert re.fullmatch(pattern, answer.text)


def test_the_client_in_python(live_server, tmp_path):
    [snippet] = [block.text for block in blocks(ROOT / "docs" / "api.md") if block.language == "python"]

    done = subprocess.run(
        [sys.executable, "-c", at(live_server, snippet)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"7 0\.9\d+\n", done.stdout)


@pytest.mark.slow  # make test-fast needs no Node.js
def test_the_client_in_javascript(live_server, tmp_path):
    [snippet] = [block.text for block in blocks(ROOT / "docs" / "api.md") if block.language == "javascript"]
    (tmp_path / "client.mjs").write_text(at(live_server, snippet))

    node = shutil.which("node") or shutil.which("nodejs")
    done = subprocess.run(
        [node, tmp_path / "client.mjs"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"7 0\.9\d+\n", done.stdout)


def test_the_error_in_the_api_is_what_the_service_says(live_server):
    [shown] = [block.text for block in blocks(ROOT / "docs" / "api.md") if block.language == "json"]
    image = [0.0] * 203 + [255.0] + [0.0] * 580

    answer = requests.post(f"{live_server.url}/predict", json={"image": image}, timeout=10)

    assert answer.json() == json.loads(shown)


def test_what_is_yaml_can_be_read():
    found = [block.text for path in DOCUMENTS for block in blocks(path) if block.language == "yaml"]

    assert found
    for text in found:
        assert yaml.safe_load(text)["kind"]


def test_your_own_model(start_server, tmp_path, monkeypatch):
    guide = ROOT / "docs" / "your-own-model.md"
    save_noise(tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)
    [snippet] = [block.text for block in blocks(guide) if block.language == "python"]
    exec(snippet, {"torch": torch, "model": model_of_cats_and_dogs()})

    package, check, serve, ask = commands(guide, "guide")
    assert commands(ROOT / "README.md", "guide") == [package, check, serve]
    assert "2 classes; input 3x64x64" in run(package, tmp_path)
    assert "golden cases: 4 agree" in run(check, tmp_path)
    assert serve == "MODEL_PATH=my-model.pt python -m service"
    server = start_server(MODEL_PATH=tmp_path / "my-model.pt")
    answer = json.loads(run(ask, tmp_path, server))

    assert answer["label"] in ("cat", "dog")
    assert answer["model"]["name"] == "my-model"


@pytest.mark.slow
def test_from_torchserve(start_server, tmp_path):
    torch.jit.script(model_of_cats_and_dogs()).save(tmp_path / "model.pt")
    (tmp_path / "index_to_name.json").write_text('{"0": "cat", "1": "dog"}')
    save_noise(tmp_path / "kitten.jpg")
    run(
        "torch-model-archiver --model-name my_model --version 1.0 --serialized-file model.pt "
        "--extra-files index_to_name.json --handler image_classifier",
        tmp_path,
    )

    package, serve, ask = commands(ROOT / "docs" / "from-torchserve.md", "guide")
    assert "a TorchServe archive (image_classifier); 2 classes" in run(package, tmp_path)
    assert serve == "PORT=8080 MODEL_PATH=my_model.pt python -m service"
    server = start_server(MODEL_PATH=tmp_path / "my_model.pt")
    answer = json.loads(run(ask, tmp_path, server))

    assert answer.keys() == {"cat", "dog"}
    assert sum(answer.values()) == pytest.approx(1)


def test_training(tmp_path):
    """Training takes minutes; what follows it is run with the weights that it made once."""
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    shutil.copy(BUNDLED_MODEL, tmp_path / "runs" / "latest")

    check, serve = commands(ROOT / "docs" / "training.md", "guide")

    assert "agree" in run(check, tmp_path)
    assert serve == f"MODEL_PATH=runs/latest/{BUNDLED_MODEL.name} python -m service"


@pytest.mark.parametrize(
    "guide", ["your-own-model.md", "from-torchserve.md", "kserve.md", "operations.md", "training.md"]
)
def test_the_charts_values_that_are_named_exist(guide):
    values = yaml.safe_load((ROOT / "charts" / "rust-ml-api" / "values.yaml").read_text())
    text = (ROOT / "docs" / guide).read_text()
    sections = "model|kserve|apiKeys|grafanaDashboard|prometheusRule|serviceMonitor|training"
    named = re.findall(rf"`((?:{sections})\.(?!json)\w+)(?:[=.]\w+)?`", text)

    assert named
    for name in named:
        section, _, key = name.partition(".")
        assert key in values[section], name


def metrics_in(document, start, end):
    """The names in the tables of a document between two headings."""
    text = (ROOT / "docs" / document).read_text()
    rows = text[text.index(start) : text.index(end)].splitlines()
    return [row.split("|") for row in rows if row.startswith("| ") and "---" not in row][1:]


def test_the_metrics_that_are_named_exist(live_server):
    cells = [row[2] for row in metrics_in("from-torchserve.md", "## Metrics", "## What has no")]
    cells += [row[1] for row in metrics_in("operations.md", "## Metrics", "## Alerts")]
    ours = {name for cell in cells for name in re.findall(r"`([a-z_]+)", cell)}
    exported = requests.get(f"{live_server.url}/metrics", timeout=10).text

    assert len(ours) >= 15
    for name in ours:
        assert f"# TYPE {name} " in exported or f"# TYPE {name.removesuffix('_total')}" in exported, name


def test_every_alert_of_the_chart_is_explained():
    rules = (ROOT / "charts" / "rust-ml-api" / "templates" / "prometheusrule.yaml").read_text()
    names = set(re.findall(r'"alert" "(\w+)"', rules))
    explained = {row[1].strip(" `") for row in metrics_in("operations.md", "## Alerts", "## Dashboard")}

    assert len(names) >= 6
    assert explained == names
