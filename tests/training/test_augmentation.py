"""What training does to images before it shows them to a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.augment import RandomResolution, RandomWarp, augmentation
from training.defects import DEFECTS, RandomDefects


def test_each_image_is_warped_in_its_own_way(images: Tensor) -> None:
    torch.manual_seed(0)
    same = images[:1].repeat(8, 1, 1, 1)

    warped = RandomWarp()(same)

    assert warped.shape == same.shape
    assert len({tuple(image.flatten().tolist()) for image in warped}) == 8


def test_warp_of_no_strength_changes_nothing(images: Tensor) -> None:
    still = RandomWarp(degrees=0, scale=0, shear=0, translate=0, elastic=0)

    torch.testing.assert_close(still(images), images, atol=1e-5, rtol=0)


def test_low_resolution_touches_its_share_and_leaves_ink_where_it_was(images: Tensor) -> None:
    torch.manual_seed(0)

    coarse = RandomResolution(0.3)(images)

    changed = (coarse != images).flatten(1).any(dim=1)
    assert 0.15 < float(changed.float().mean()) < 0.45
    assert float(coarse.min()) >= 0
    assert float(coarse.max()) <= 1
    pixels = torch.arange(28.0)
    for axis in (2, 3):
        before, after = (each.sum(dim=(1, 5 - axis)) for each in (images, coarse))
        centres = [each @ pixels / each.sum(dim=1) for each in (before, after)]
        assert float((centres[0] - centres[1]).abs().max()) < 1.5  # a cell is wider


def test_half_of_the_images_of_low_resolution_have_wider_strokes() -> None:
    torch.manual_seed(0)
    strokes = torch.zeros(200, 1, 28, 28)
    strokes[:, :, 4:24, 12:15] = 1

    coarse = RandomResolution(1)(strokes)

    width = coarse.sum(dim=(1, 2, 3)) / 20
    assert 0.35 < float((width > width.min() + 0.05).float().mean()) < 0.65
    assert width.max() > width.min() + 1


def test_low_resolution_keeps_a_blank_image_blank() -> None:
    torch.manual_seed(0)
    blank = torch.zeros(4, 1, 28, 28)

    assert torch.equal(RandomResolution(1)(blank), blank)


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
    augment = augmentation(defects=0.5, low_resolution=0.5)

    torch.manual_seed(3)
    first = augment(images)
    torch.manual_seed(3)
    second = augment(images)

    assert torch.equal(first, second)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
