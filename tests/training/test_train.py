"""The training loop and its loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from training.augment import AugmentedBatches
from training.data import Digits
from training.model import NO_DIGIT, DigitNet, content_hash, predict, with_no_digit
from training.outliers import energy
from training.recipe import Recipe
from training.train import Trainer, distillation_loss

CPU = torch.device("cpu")


def test_training_in_bfloat16_repeats_with_its_seed(digits: Digits) -> None:
    def trained(bfloat16: bool) -> str:
        torch.manual_seed(1)
        recipe = Recipe(epochs=1, batch_size=50, bfloat16=bfloat16)
        batches = AugmentedBatches(digits, recipe, device=CPU)
        return content_hash(Trainer(DigitNet(), batches, recipe, device=CPU).run())

    assert trained(True) == trained(True)
    assert trained(True) != trained(False)


def test_a_network_learns_a_high_energy_for_images_of_no_digit(digits: Digits) -> None:
    torch.manual_seed(1)
    recipe = Recipe(epochs=8, batch_size=50, defects=0, low_resolution=0)
    none = Digits(torch.zeros_like(digits.images), torch.full((len(digits),), NO_DIGIT))
    shown = Digits(torch.cat([digits.images, none.images]), torch.cat([digits.labels, none.labels]))

    model = Trainer(DigitNet(), AugmentedBatches(shown, recipe, device=CPU), recipe, device=CPU).run()

    blank = energy(predict(model, none.pixels()[:1]).numpy())
    assert float((energy(predict(model, digits.pixels()).numpy()) < blank).mean()) > 0.99


def test_distillation_loss_is_least_at_the_soft_labels() -> None:
    torch.manual_seed(0)
    logits = with_no_digit(torch.randn(20, 10))
    soft_labels = F.softmax(logits / 2.0, dim=1)

    at_teacher = distillation_loss(logits, soft_labels, 2.0)

    assert float(at_teacher) == pytest.approx(0, abs=1e-5)
    assert distillation_loss(F.normalize(logits), soft_labels, 2.0) > at_teacher
