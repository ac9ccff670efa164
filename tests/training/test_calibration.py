"""The temperature that is fitted, and how far confidence can be believed."""

from __future__ import annotations

import pytest
import torch

from training.calibration import expected_calibration_error, fit_temperature, reliability


def test_temperature_is_found_again() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(20_000, 10)
    labels = torch.distributions.Categorical(logits=logits).sample()

    temperature = fit_temperature(logits * 2.5, labels)

    assert temperature == pytest.approx(2.5, rel=0.05)
    assert expected_calibration_error(logits, labels) < 0.01
    assert expected_calibration_error(logits * 2.5, labels) > 0.05


def test_reliability_counts_every_image_once() -> None:
    logits = torch.tensor([[0.0] * 10, [100.0] + [0.0] * 9])

    rows = reliability(logits, torch.tensor([0, 1]))

    assert sum(count for count, _, _ in rows) == 2
    assert rows[1] == (1, pytest.approx(0.1), 1.0)
    assert rows[14] == (1, pytest.approx(1.0), 0.0)
