"""A model of 45 MB: it is kept once, and runs in batches of the size that pays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torchvision

from tests.support.classifiers import Classifier
from tests.support.http import post
from tests.support.metrics import reloads, sample, scrape
from tests.support.process import resident_bytes
from tests.support.wait import until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class ResNet18(Classifier):
    """Torchvision's, with random weights."""

    def module(self) -> torch.nn.Module:
        """The network, the same each time."""
        torch.manual_seed(0)
        return torchvision.models.resnet18(num_classes=len(self.classes)).eval()


def test_its_weights_are_in_memory_once(start_server, live_server, tmp_path):
    classifier = ResNet18(3, 224, 224, [f"class {place}" for place in range(1000)])
    path = classifier.write(tmp_path / "resnet18.pt")
    server = start_server(MODEL_PATH=path)
    images = classifier.images(2, seed=2)

    answers = [
        post(server, image.tobytes(), "application/octet-stream", path="/predict?top=1000")
        for image in images
    ]

    for answer, expected in zip(answers, classifier.probabilities(images), strict=True):
        given = {each["label"]: each["probability"] for each in answer.json()["top"]}
        np.testing.assert_allclose([given[label] for label in classifier.classes], expected, atol=1e-4)
    more = resident_bytes(server.process.pid) - resident_bytes(live_server.process.pid)
    assert more < 1.5 * path.stat().st_size
    [line] = server.messages("INFO", "computing with ")
    assert line.endswith("; its graph frozen, and convolutions packed where they can be")
    limit = scrape(server)[sample("inference_max_batch_size")]
    assert f", up to {limit:g} image(s) at once (measured), " in line
    assert 1 <= limit <= 32

    before = resident_bytes(server.process.pid)
    classifier.write(tmp_path / "new", version="second").replace(path)
    until(lambda: reloads(server) == (1, 0), "the second file is served", seconds=60)
    # What was allocated while it was loaded goes back to the system within seconds.
    most = before + path.stat().st_size / 2
    until(lambda: resident_bytes(server.process.pid) < most, "the first model is let go")
