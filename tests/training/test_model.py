"""The network: its size, its name, and what it computes."""

from __future__ import annotations

import torch
from torch import Tensor

from training.model import DigitNet, content_hash, divide_logits, forward, parameter_count


def test_temperature_is_folded_into_the_last_layer(images: Tensor) -> None:
    model = DigitNet().eval()
    before, name = model(images), content_hash(model)

    divide_logits(model, 2.0)

    torch.testing.assert_close(model(images), before / 2)
    assert content_hash(model) != name


def test_network_keeps_within_its_size() -> None:
    assert parameter_count(DigitNet()) < 250_000


def test_bfloat16_gives_logits_in_float32_close_to_the_exact_ones(images: Tensor) -> None:
    model = DigitNet().eval()

    with torch.no_grad():
        exact, rough = (forward(model, images, bfloat16=bfloat16) for bfloat16 in (False, True))

    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.05)
