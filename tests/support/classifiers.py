"""Classifiers that are not of digits, as weights files, and what PyTorch makes of an image with them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Classifier:
    """A small convolutional network for images of one shape."""

    channels: int
    height: int
    width: int
    classes: list[Any]
    pictures: dict[str, Any] = field(default_factory=lambda: {"method": "letterbox"})
    target: str = "label"

    @property
    def sides(self) -> tuple[int, ...]:
        """How its images are nested."""
        inner = () if self.channels == 1 else (self.channels,)
        return (self.height, self.width, *inner)

    def module(self) -> torch.nn.Module:
        """The network, the same each time."""
        torch.manual_seed(len(self.classes))
        return torch.nn.Sequential(
            torch.nn.Conv2d(self.channels, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(3),
            torch.nn.Flatten(),
            torch.nn.Linear(72, len(self.classes)),
        ).eval()

    def images(self, count: int, seed: int = 0) -> NDArray[np.uint8]:
        """Images of noise."""
        return np.random.default_rng(seed).integers(0, 256, (count, *self.sides), np.uint8)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What PyTorch gives for images."""
        pixels = torch.from_numpy(images).float().div(255)
        planes = pixels.reshape(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2).contiguous()
        with torch.no_grad():
            return self.module()(planes).softmax(dim=1).numpy()

    def card(self) -> dict[str, Any]:
        """Its model card."""
        return {
            "format": 2,
            "name": "some-classifier",
            "version": "1",
            "input": {"channels": self.channels, "height": self.height, "width": self.width},
            "classes": self.classes,
            "target": self.target,
            "pictures": self.pictures,
        }

    def write(self, path: Path, **changes: Any) -> Path:
        """Write its weights file, its card changed like this."""
        images = self.images(3, seed=1)
        pixels = torch.from_numpy(images).float().div(255)
        planes = pixels.reshape(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2)
        with torch.no_grad():
            logits = self.module()(planes).numpy()
        golden = io.BytesIO()
        np.savez(golden, images=images, labels=logits.argmax(axis=1).astype(np.int64), logits=logits)
        card = self.card() | changes
        extra = {"model.json": json.dumps(card).encode(), "golden.npz": golden.getvalue()}
        torch.jit.save(torch.jit.freeze(torch.jit.script(self.module())), path, _extra_files=extra)
        return path


CLASSIFIERS = {
    "ten texts, 28 x 28": Classifier(1, 28, 28, [f"text {place}" for place in range(10)]),
    "ten numbers, 8 x 8": Classifier(1, 8, 8, list(range(10)), target="number"),
    "three classes, 20 x 30": Classifier(1, 20, 30, ["rot", "grün", "blau"]),
    "two classes, 64 x 64 in colour": Classifier(
        3, 64, 64, ["cat", "dog"], {"method": "resize", "resize_size": 72, "crop_size": 64}
    ),
    "a thousand classes, 96 x 96 in colour": Classifier(
        3, 96, 96, [f"class {place}" for place in range(1000)], {"method": "resize", "crop_size": 96}
    ),
}
