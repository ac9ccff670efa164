"""Lines drawn as MNIST's digits are, and lines found in images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training.pen import curve, draw, in_box, ink, scatter
from training.skeleton import lines, redraw, thin


def test_a_curve_goes_through_its_points() -> None:
    points = np.array([[0, 0], [1, 2], [3, 1], [4, 4]], float)

    bent = curve(points, steps=5)

    np.testing.assert_allclose(bent[::5], points)
    assert len(bent) == 16


def test_points_are_spread_evenly_over_lines_with_the_pen_lifted_between() -> None:
    spread = scatter([np.array([[0.0, 0], [3, 0]]), np.array([[0.0, 5], [1, 5]])], 9)

    np.testing.assert_allclose(spread[:6], [[0.5 * step, 0] for step in range(6)])
    np.testing.assert_allclose(spread[6:], [[0, 5], [0.5, 5], [1, 5]])


@pytest.mark.parametrize("width", [0.8, 2.5, 4.5])
def test_a_drawing_fills_the_box_of_mnist_whatever_its_pen(width: float) -> None:
    points = torch.from_numpy(scatter([np.array([[0.0, 0], [30, 50]])])).float()[None]
    pen = torch.tensor([width])

    image = ink(in_box(points, pen), pen)[0, 0]

    rows = (image > 100).any(dim=1).nonzero().flatten()
    assert abs(int(rows[-1] - rows[0]) + 1 - 20) <= 1
    levels = image.float() / image.sum()
    axis = torch.arange(28.0)
    assert float(levels.sum(dim=1) @ axis) == pytest.approx(14, abs=0.3)
    assert float(levels.sum(dim=0) @ axis) == pytest.approx(14, abs=0.3)
    assert int(image.max()) == 255


def test_each_drawing_gets_a_pen_of_its_own() -> None:
    stroke = [np.array([[0.0, 0], [0, 1]])]

    images = draw([stroke] * 20, np.random.default_rng(0))

    assert images.shape == (20, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert len(set(images.flatten(1).sum(dim=1).tolist())) == 20


def test_thinned_ink_is_one_pixel_wide_and_stays_in_one_piece() -> None:
    bar = torch.zeros(1, 20, 30, dtype=torch.bool)
    bar[0, 8:13, 4:26] = True

    (thinned,) = thin(bar)

    columns = thinned.sum(dim=0)
    reached = columns.nonzero().flatten()
    assert int(columns.max()) == 1
    assert int(reached[-1] - reached[0]) >= 16
    assert len(reached) == int(reached[-1] - reached[0]) + 1


def test_lines_lie_in_the_ink_and_a_blank_image_has_some_all_the_same(images: Tensor) -> None:
    random = np.random.default_rng(0)

    points = (lines(images, random) / 2).round().long().clamp(0, 27)

    inked = torch.stack(
        [image[0, each[:, 1], each[:, 0]] for image, each in zip(images, points, strict=True)]
    )
    assert float((inked > 0.2).float().mean()) > 0.95
    assert lines(torch.zeros(1, 1, 28, 28), random).isfinite().all()


def test_redrawn_digits_are_alike_but_for_the_pen(images: Tensor) -> None:
    again = redraw(images, np.random.default_rng(0)).float() / 255

    flat = [each.flatten(1) - each.flatten(1).mean(dim=1, keepdim=True) for each in (images, again)]
    likeness = torch.nn.functional.cosine_similarity(*flat)
    assert float(likeness.mean()) > 0.6
    widths = again.flatten(1).sum(dim=1) / images.flatten(1).sum(dim=1)
    assert float(widths.min()) < 0.7
    assert float(widths.max()) > 1.3
