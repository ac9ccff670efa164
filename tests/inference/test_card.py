"""The model card: what it may say, and the sentence for what it may not."""

from __future__ import annotations

import json
import math

import pytest

from service.errors import InvalidModel
from service.inference.card import read_card
from service.inputs.digits import SHAPE
from service.inputs.image import Shape
from tests.support.classifiers import CLASSIFIERS, Classifier
from tests.support.metrics import reloads
from tests.support.wait import until

GOOD = CLASSIFIERS["two classes, 64 x 64 in colour"].card()


def read(**changes):
    return read_card(
        json.dumps({key: value for key, value in (GOOD | changes).items() if value is not ...}).encode()
    )


def test_a_card_says_what_a_model_takes_and_gives():
    card = read()

    assert (card.name, card.version, card.target) == ("some-classifier", "1", "label")
    assert card.shape == Shape(3, 64, 64)
    assert card.classes == ("cat", "dog")
    assert (card.pictures.method, card.pictures.resize_size, card.pictures.crop_size) == ("resize", 72, 64)
    assert read(target=...).target == "label"


def test_a_card_of_format_1_is_a_classifier_of_digits():
    card = read_card(b'{"format": 1, "name": "mnist-cnn", "version": "1"}')

    assert (card.shape, card.classes, card.target) == (SHAPE, tuple(range(10)), "digit")
    assert card.pictures.method == "digit"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 3}, "has format 3; this service reads formats 1 and 2"),
        ({"input": ...}, "whose input is not such as"),
        ({"input": {"channels": 3, "height": 64}}, "whose input is not such as"),
        ({"input": {"channels": 3, "height": 64, "width": 64.0}}, "whose input is not such as"),
        ({"input": {"channels": True, "height": 64, "width": 64}}, "whose input is not such as"),
        ({"input": {"channels": 4, "height": 64, "width": 64}}, "input has 4 channels; expected 1 or 3"),
        ({"input": {"channels": 3, "height": 0, "width": 64}}, "whose input is not such as"),
        ({"classes": ...}, "without classes"),
        ({"classes": ["one"]}, "without classes"),
        ({"classes": ["a", 1]}, "classes are not all texts, or all whole numbers"),
        ({"classes": [True, False]}, "classes are not all texts, or all whole numbers"),
        ({"classes": ["a", "a"]}, "with a class that is there twice"),
        ({"classes": ["a", "b\n"]}, "class has a character that can't be printed"),
        ({"classes": ["a", ""]}, "without a class"),
        ({"classes": [1, 2**64]}, "with a class of more than 64 bits"),
        ({"target": "confidence"}, "target is 'confidence', which is another field of the answer"),
        ({"target": 1}, "without a target"),
        ({"target": "outlier"}, "target is 'outlier', which is another field of the answer"),
        *(
            ({"outlier": outlier}, "whose outlier is not such as")
            for outlier in (
                *(-4.5, [], {}, {"score": "energy"}, {"threshold": -4.5}),
                {"score": "margin", "threshold": -4.5},
                *({"score": "energy", "threshold": each} for each in ("-4.5", True, None, math.nan, 10**400)),
            )
        ),
        ({"pictures": ...}, "pictures is no object such as"),
        (
            {"pictures": {"method": "crop"}},
            "pictures has the method 'crop'; expected digit, resize, letterbox",
        ),
        ({"pictures": {"method": "digit"}}, "whose pictures become 28 x 28, but its input is 64 x 64 x 3"),
        ({"pictures": {"method": "resize", "crop_size": 32}}, "crop_size 32, but the input is 64 x 64"),
        (
            {"pictures": {"method": "resize", "resize_size": 32, "crop_size": 64}},
            "0 < crop_size <= resize",
        ),
        ({"pictures": {"method": "letterbox", "interpolation": "magic"}}, "the interpolation 'magic'"),
    ],
)
def test_what_can_not_be_is_refused_with_a_sentence(changes, reason):
    with pytest.raises(InvalidModel, match="has ") as refused:
        read(**changes)

    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("metrics", "floor"),
    [({"test_accuracy": 0.97}, 0.97), ({"test_accuracy": 1}, 1), ({"test_accuracy": 0}, 0)],
)
def test_a_card_that_reaches_the_floor(metrics, floor):
    read(metrics=metrics).check_accuracy(floor)


@pytest.mark.parametrize(
    "metrics",
    [..., None, [], {}, *({"test_accuracy": value} for value in (None, "0.99", True, 99, -1, float("nan")))],
    ids=str,
)
def test_a_card_without_an_accuracy_reaches_no_floor(metrics):
    with pytest.raises(
        InvalidModel, match=r"^has a model\.json without a metrics\.test_accuracy from 0 to 1"
    ):
        read(metrics=metrics).check_accuracy(0)


def test_weights_that_take_something_else_need_a_restart(start_server, tmp_path):
    path = Classifier(1, 8, 8, ["a", "b"]).write(tmp_path / "weights.pt")
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=0.2)

    for turn, other in enumerate((Classifier(1, 9, 9, ["a", "b"]), Classifier(1, 8, 8, ["a", "c"])), 1):
        other.write(tmp_path / "new").rename(path)
        until(lambda turn=turn: reloads(server)[1] == turn, "the file is refused")
        assert "takes or gives something else than what is served" in server.messages("ERROR", count=turn)[-1]
    Classifier(1, 8, 8, ["a", "b"]).write(tmp_path / "new", version="2").rename(path)

    until(lambda: reloads(server)[0] == 1, "the file is served")
