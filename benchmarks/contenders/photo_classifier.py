"""What LitServe, BentoML and mosec share: the weights file, and torchvision's preset before it.

The file normalises pixels itself, so the preset ends with pixels in 0..1. `optimize_for_inference` is what
PyTorch's documentation recommends for a TorchScript module that only predicts.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import functional as transforms

# The batch size with the most images per second on one core; more waiting requests make the next batch.
MAX_BATCH_SIZE = 8
TOP = 5


class PhotoClassifier:
    """The labels of photos, with their probabilities: the likeliest five, as TorchServe answers."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        card = {"model.json": ""}
        load: Any = torch.jit.load
        module = load(os.environ["MODEL_PATH"], map_location="cpu", _extra_files=card)
        self._labels = json.loads(card["model.json"])["classes"]
        optimize: Any = torch.jit.optimize_for_inference
        self._module = optimize(module)

    def read(self, file: bytes) -> torch.Tensor:
        """Turn the bytes of a picture's file into an input."""
        return self.prepare(Image.open(io.BytesIO(file)))

    def prepare(self, picture: Image.Image) -> torch.Tensor:
        """Turn a picture into an input, float32 `[3, 224, 224]`."""
        resized = transforms.center_crop(transforms.resize(picture.convert("RGB"), [256]), [224, 224])
        pixels: torch.Tensor = transforms.to_tensor(resized)
        return pixels

    def classify(self, batch: torch.Tensor) -> list[dict[str, float]]:
        """Classify inputs, float32 `[N, 3, 224, 224]`."""
        with torch.inference_mode():
            found = torch.softmax(self._module(batch), dim=1).topk(TOP)
        rows = zip(found.indices.tolist(), found.values.tolist(), strict=True)
        return [self._answer(places, probabilities) for places, probabilities in rows]

    def _answer(self, places: Sequence[int], probabilities: Sequence[float]) -> dict[str, float]:
        return {self._labels[place]: chance for place, chance in zip(places, probabilities, strict=True)}
