"""The guides' commands are run as they stand, but for those that need a cluster."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import requests
import torch
import yaml
from PIL import Image

from tests.support.classifiers import CLASSIFIERS
from tests.support.paths import ROOT
from tests.support.readme import commands, run

NEEDS_A_CLUSTER = ("kubectl", "helm")


def test_your_own_model(start_server, tmp_path):
    classifier = CLASSIFIERS["two classes, 64 x 64 in colour"]
    torch.jit.script(classifier.module()).save(tmp_path / "my-model.script.pt")
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cat.jpg")
    local = [
        command
        for command in commands(ROOT / "docs" / "your-own-model.md")
        if not command.startswith(NEEDS_A_CLUSTER)
    ]

    package, check, serve, ask = local
    assert "2 classes; input 3x64x64" in run(package, tmp_path)
    assert "golden cases: 4 agree" in run(check, tmp_path)
    assert serve == "MODEL_PATH=my-model.pt python -m service"
    server = start_server(MODEL_PATH=tmp_path / "my-model.pt")
    answer = json.loads(run(ask, tmp_path, server))

    assert answer["label"] in ("cat", "dog")
    assert answer["model"]["name"] == "my-model"


@pytest.mark.slow
def test_from_torchserve(start_server, tmp_path):
    classifier = CLASSIFIERS["two classes, 64 x 64 in colour"]  # by its pooling it takes 224 x 224, too
    torch.jit.script(classifier.module()).save(tmp_path / "model.pt")
    (tmp_path / "index_to_name.json").write_text('{"0": "cat", "1": "dog"}')
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "kitten.jpg")
    run(
        "torch-model-archiver --model-name my_model --version 1.0 --serialized-file model.pt "
        "--extra-files index_to_name.json --handler image_classifier",
        tmp_path,
    )

    package, serve, ask = commands(ROOT / "docs" / "from-torchserve.md")
    assert "a TorchServe archive (image_classifier); 2 classes" in run(package, tmp_path)
    assert serve == "PORT=8080 MODEL_PATH=my_model.pt python -m service"
    server = start_server(MODEL_PATH=tmp_path / "my_model.pt")
    answer = json.loads(run(ask, tmp_path, server))

    assert answer.keys() == {"cat", "dog"}
    assert sum(answer.values()) == pytest.approx(1)


@pytest.mark.parametrize("guide", ["your-own-model.md", "from-torchserve.md", "kserve.md"])
def test_the_charts_values_that_are_named_exist(guide):
    values = yaml.safe_load((ROOT / "charts" / "rust-ml-api" / "values.yaml").read_text())
    text = (ROOT / "docs" / guide).read_text()
    named = re.findall(r"`((?:model|kserve|apiKeys|grafanaDashboard|prometheusRule)\.\w+)(?:=\w+)?`", text)

    assert named
    for name in named:
        section, _, key = name.partition(".")
        assert key in values[section], name


def test_the_metrics_that_are_named_exist(live_server):
    text = (ROOT / "docs" / "from-torchserve.md").read_text()
    rows = text[text.index("## Metrics") : text.index("## What has no")].splitlines()[4:]
    cells = [row.split("|")[2] for row in rows if row.startswith("|")]
    ours = {name for cell in cells for name in re.findall(r"`([a-z_]+)", cell)}
    exported = requests.get(f"{live_server.url}/metrics", timeout=10).text

    assert len(ours) >= 8
    for name in ours:
        assert f"# TYPE {name} " in exported or f"# TYPE {name.removesuffix('_total')}" in exported, name
