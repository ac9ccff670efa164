"""ResNet-18 behind BentoML with its adaptive batching; a photo comes in a form, as in its documentation.

A batch may take BentoML's own minute: with a shorter `max_latency_ms` it refuses requests as soon as it
expects them to take longer.
"""

from __future__ import annotations

import os
import sys

import bentoml
import torch
from PIL.Image import Image

from benchmarks.contenders.photo_classifier import MAX_BATCH_SIZE, PhotoClassifier

Answers = list[dict[str, float]]


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Photos:
    """One worker, one batchable method."""

    def __init__(self) -> None:
        self.classifier = PhotoClassifier()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE)
    def predict(self, images: list[Image]) -> Answers:
        """Classify the photos of a batch of requests; BentoML has opened the files."""
        return self.classifier.classify(torch.stack([self.classifier.prepare(image) for image in images]))


if __name__ == "__main__":
    os.environ |= {"BENTOML_DO_NOT_TRACK": "true"}
    command = ["-m", "bentoml", "serve", "benchmarks.contenders.bentoml_photos:Photos"]
    command += ["--host", os.environ["HOST"], "--port", os.environ["PORT"]]
    os.execv(sys.executable, [sys.executable, *command])
