"""What training shows beside MNIST: digits of other forms, and images of no digit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from service.settings import BUNDLED_MODEL
from tests.support.weights_file import read_weights_file
from training import glyphs
from training.data import Digits
from training.handwriting import FORMS, handwriting
from training.model import NO_DIGIT
from training.negatives import KINDS, MEASURED, Kind, side_by_side
from training.outlier_evaluation import measured_negatives
from training.recipe import Recipe
from training.training_set import printed_digits, training_set

RECIPE = Recipe(drawn=0.5, negatives=0.25)


def every(kinds: Iterable[Kind]) -> list[Kind]:
    return sorted(set(kinds), key=lambda kind: kind.__name__)


def test_the_training_set_has_as_many_others_as_the_recipe_asks_for(digits: Digits) -> None:
    shown = training_set(digits, RECIPE)

    assert torch.equal(shown.images[:200], digits.images)
    assert torch.equal(shown.labels[:200], digits.labels)
    assert int((shown.labels[200:300] < NO_DIGIT).sum()) == 100
    assert shown.labels[300:].tolist() == [NO_DIGIT] * 50
    assert shown.images.shape == (350, 1, 28, 28)
    assert shown.images.dtype == torch.uint8


def test_the_training_set_is_the_same_each_time(digits: Digits) -> None:
    first, second = training_set(digits, RECIPE), training_set(digits, RECIPE)

    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)


def test_a_recipe_may_leave_the_others_out(digits: Digits) -> None:
    assert len(training_set(digits, Recipe(drawn=0, negatives=0))) == len(digits)


@pytest.mark.parametrize("kind", every([*KINDS, *MEASURED]), ids=lambda kind: kind.__name__)
def test_negatives_are_images_and_differ(kind: Kind, digits: Digits) -> None:
    images = kind(digits, 20, np.random.default_rng(0))

    assert images.shape == (20, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert len({tuple(image.flatten().tolist()) for image in images}) >= (
        2 if kind.__name__ == "blank" else 10
    )


def test_negatives_are_measured_on_others_than_training_shows(digits: Digits) -> None:
    assert not set(glyphs.OTHER_FONTS) & set(glyphs.FONTS)
    measured = measured_negatives(digits)

    assert set(measured) == {kind.__name__ for kind in MEASURED}
    assert {len(images) for images in measured.values()} == {100}


def test_two_digits_share_the_box_of_one(digits: Digits) -> None:
    images = side_by_side(digits, 40, np.random.default_rng(0))

    columns = (images > 60).flatten(0, 1).any(dim=1)
    widths = [int(each.nonzero().max() - each.nonzero().min()) + 1 for each in columns]
    assert max(widths) <= 20
    assert sum(width >= 18 for width in widths) > 30


def test_digits_drawn_by_code_read_as_what_they_are() -> None:
    module, _, _ = read_weights_file(BUNDLED_MODEL)
    random = np.random.default_rng(0)

    drawn = [handwriting(1000, random), printed_digits(300, random)]

    right = [float((module(each.pixels()).argmax(dim=1) == each.labels).float().mean()) for each in drawn]
    assert right[0] > 0.9
    assert right[1] > 0.85


def test_each_digit_has_forms_of_several_kinds() -> None:
    strokes: list[set[int]] = []
    for form in FORMS:
        random = np.random.default_rng(1)
        strokes.append({len(form(random)) for _ in range(40)})

    assert strokes[1] == {1, 2}  # without and with a foot
    assert {1, 2} < strokes[7]  # without and with a bar


def test_letters_have_no_twin_among_digits() -> None:
    twins = "OoQ0Il1|iSsZzBbgq"

    assert not set(twins) & set(glyphs.LETTERS + glyphs.SIGNS + glyphs.OTHER_SIGNS)
