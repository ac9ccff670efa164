"""ResNet-18 behind LitServe with its dynamic batching; a photo comes in a form, as in its documentation."""

from __future__ import annotations

from typing import Any

import litserve
import torch

from benchmarks.contenders.litserve_app import serve
from benchmarks.contenders.photo_classifier import MAX_BATCH_SIZE, PhotoClassifier
from benchmarks.photos import FIELD


class PhotoAPI(litserve.LitAPI):  # type: ignore[misc]
    """Decode, predict in batches; the answer is a dictionary already."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model in the worker process."""
        self.classifier = PhotoClassifier()

    def decode_request(self, request) -> torch.Tensor:  # type: ignore[no-untyped-def]
        """Turn a request into one photo; without a type LitServe passes what the form holds."""
        return self.classifier.read(request[FIELD].file.read())

    def predict(self, batch: torch.Tensor) -> list[dict[str, float]]:
        """Classify photos, stacked by LitServe."""
        return self.classifier.classify(batch)

    def unbatch(self, output: list[dict[str, float]]) -> list[dict[str, float]]:
        """Leave one answer for each photo."""
        return output

    def encode_response(self, output: dict[str, float]) -> dict[str, Any]:
        """Answer with JSON."""
        return output


if __name__ == "__main__":
    serve(PhotoAPI(max_batch_size=MAX_BATCH_SIZE, batch_timeout=0.01))
