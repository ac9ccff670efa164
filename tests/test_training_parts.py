"""The parts of the training that can be wrong without stopping it: augmentation, corruptions, calibration."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.training_sample import unpack_sample
from training.augment import RandomWarp, augmentation
from training.batches import Augmented
from training.calibration import expected_calibration_error, fit_temperature, reliability
from training.corruptions import KINDS, STRENGTHS, corrupt
from training.data import Digits, load_mnist
from training.defects import DEFECTS, RandomDefects
from training.export import check_agreement, frozen
from training.model import DigitNet, content_hash, divide_logits, forward, parameter_count
from training.recipe import Recipe
from training.train import Trainer, distillation_loss

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return load_mnist(unpack_sample(tmp_path_factory.mktemp("sample")), download=False).test


@pytest.fixture(scope="module")
def images(digits: Digits) -> Tensor:
    return digits.pixels()


def test_each_image_is_warped_in_its_own_way(images: Tensor) -> None:
    torch.manual_seed(0)
    same = images[:1].repeat(8, 1, 1, 1)

    warped = RandomWarp()(same)

    assert warped.shape == same.shape
    assert len({tuple(image.flatten().tolist()) for image in warped}) == 8


def test_warp_of_no_strength_changes_nothing(images: Tensor) -> None:
    still = RandomWarp(degrees=0, scale=0, shear=0, translate=0, elastic=0)

    torch.testing.assert_close(still(images), images, atol=1e-5, rtol=0)


def test_defects_touch_their_share_of_the_images(images: Tensor) -> None:
    torch.manual_seed(0)

    spoiled = (RandomDefects(0.3)(images) != images).flatten(1).any(dim=1)

    assert 0.15 < float(spoiled.float().mean()) < 0.45
    assert torch.equal(RandomDefects(0)(images), images)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__.strip("_"))
def test_each_defect_keeps_shape_and_spoils(defect, images: Tensor) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)

    spoiled = defect(images)

    assert spoiled.shape == images.shape
    assert spoiled.isfinite().all()
    assert not torch.equal(spoiled, images)


def test_augmentation_repeats_with_its_seed(images: Tensor) -> None:
    augment = augmentation(defects=0.5)

    torch.manual_seed(3)
    first = augment(images)
    torch.manual_seed(3)
    second = augment(images)

    assert torch.equal(first, second)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1


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


def test_exported_module_agrees_with_the_trained_one(images: Tensor) -> None:
    model = DigitNet()
    for _ in range(3):
        model(images)

    assert check_agreement(model, frozen(model), images) < 1e-5


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


def test_training_in_bfloat16_repeats_with_its_seed(digits: Digits) -> None:
    def trained(bfloat16: bool) -> str:
        torch.manual_seed(1)
        recipe = Recipe(epochs=1, batch_size=50, bfloat16=bfloat16)
        batches = Augmented(digits, defects=0.15, warp=0.7, device=CPU)
        return content_hash(Trainer(DigitNet(), batches, recipe, device=CPU).run())

    assert trained(True) == trained(True)
    assert trained(True) != trained(False)


def test_distillation_loss_is_least_at_what_was_taught() -> None:
    torch.manual_seed(0)
    logits = torch.randn(20, 10)
    taught = F.softmax(logits / 2.0, dim=1)

    at_teacher = distillation_loss(logits, taught, 2.0)

    assert float(at_teacher) == pytest.approx(0, abs=1e-5)
    assert distillation_loss(F.normalize(logits), taught, 2.0) > at_teacher
