"""The suite of corruptions that measures robustness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.corruptions import KINDS, STRENGTHS, corrupt


@pytest.mark.parametrize("kind", KINDS)
def test_corruptions_are_fixed_bounded_and_grow(kind: str, images: Tensor) -> None:
    distances = []

    for strength in range(STRENGTHS):
        spoiled = corrupt(kind, strength, images)
        assert spoiled.shape == images.shape
        assert float(spoiled.min()) >= 0
        assert float(spoiled.max()) <= 1
        assert torch.equal(spoiled, corrupt(kind, strength, images))
        distances.append(float((spoiled - images).abs().mean()))

    assert distances[0] > 0
    if kind not in ("canny_edges", "inverted"):
        assert distances == sorted(distances)
