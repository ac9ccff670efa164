"""The model card, ``model.json`` in a weights file: what a model takes and gives.

Nothing else in the service knows its shape, its classes or how a picture becomes an input. Format 1, which
says none of that, stands for a classifier of handwritten mnist.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson

from service.errors import InvalidModel
from service.inputs.image import Shape
from service.inputs.preprocessing import MNIST, Preprocessing, mnist, read_preprocessing

CARD = "model.json"
FORMATS = (1, 2)
MAX_NAME_LENGTH = 100
MAX_SIDE = 4096
MAX_CLASSES = 100_000
RESERVED = ("confidence", "probabilities", "model", "top", "image", "outlier", "outlier_score")


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself; ``details`` is the whole of its ``model.json``."""

    name: str
    version: str
    details: dict[str, Any]
    shape: Shape = mnist.SHAPE
    classes: tuple[str | int, ...] = mnist.CLASSES
    target: str = mnist.TARGET  # the answer's field for the class
    pictures: Preprocessing = Preprocessing()
    outlier_threshold: float | None = None  # an input of more energy is an outlier; None: none is known

    def renamed(self, name: str) -> Card:
        """Return this card under another name.

        Raises:
            InvalidModel: the name is too long, or has a character that can't be printed.
        """
        try:
            _check_text(name, "name")
        except InvalidModel:
            raise InvalidModel(f"can't be served as {name!a} (MODEL_NAME)") from None
        return replace(self, name=name)

    def check_accuracy(self, least: float) -> None:
        """Return if the model got at least this share of its test images right.

        Raises:
            InvalidModel: it got less, or its card does not say.
        """
        metrics = self.details.get("metrics")
        accuracy = metrics.get("test_accuracy") if isinstance(metrics, dict) else None
        if isinstance(accuracy, bool) or not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
            raise InvalidModel(
                f"has a {CARD} without a metrics.test_accuracy from 0 to 1, and at least {least} is asked "
                "for (MODEL_MIN_ACCURACY); `python -m training.package --accuracy` writes it"
            )
        if accuracy < least:
            raise InvalidModel(
                f"has a test accuracy of {accuracy}; at least {least} is asked for (MODEL_MIN_ACCURACY)"
            )

    @cached_property
    def encoded(self) -> orjson.Fragment:
        """Name and version as JSON, for every answer."""
        return orjson.Fragment(orjson.dumps({"name": self.name, "version": self.version}))

    @property
    def tells_outliers(self) -> bool:
        """Whether it can be said of an image that it is no member of any class."""
        return self.outlier_threshold is not None

    @property
    def takes(self) -> tuple[Any, ...]:
        """What clients have to know; a model that differs in it can't take another one's place."""
        return (self.shape, self.classes, self.target, self.pictures, self.tells_outliers)


def read_card(text: bytes) -> Card:
    """Read a ``model.json``.

    Raises:
        InvalidModel: it can't be read, has another format, or says something that can't be.
    """
    try:
        details = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"has a {CARD} that can't be read: {error}") from None
    if not isinstance(details, dict):
        raise InvalidModel(f"has a {CARD} that is no object")
    format_ = details.get("format", 1)
    if format_ not in FORMATS:
        raise InvalidModel(f"has format {format_!r}; this service reads formats 1 and 2")
    for key in ("name", "version"):
        # Both go into every answer and into log lines, and become labels of a metric.
        _check_text(details.get(key), key)
    threshold = _outlier_threshold(details.get("outlier"))
    if format_ == 1:
        return Card(details["name"], details["version"], details, outlier_threshold=threshold)
    shape = _shape(details.get("input"))
    target = details.get("target", "label")
    _check_text(target, "target")
    if target in RESERVED:
        raise InvalidModel(f"has a {CARD} whose target is {target!r}, which is another field of the answer")
    try:
        pictures = read_preprocessing(details.get("pictures"), shape.height, shape.width)
    except ValueError as error:
        raise InvalidModel(f"has a {CARD} whose {error}") from None
    if pictures.method == MNIST and shape != mnist.SHAPE:
        raise InvalidModel(f"has a {CARD} whose pictures become {mnist.SHAPE}, but its input is {shape}")
    classes = _classes(details.get("classes"))
    return Card(details["name"], details["version"], details, shape, classes, target, pictures, threshold)


def _check_text(value: Any, key: str) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_LENGTH:
        raise InvalidModel(
            f"has a {CARD} without a {key}; it is a text of at most {MAX_NAME_LENGTH} characters"
        )
    if not value.isprintable():
        raise InvalidModel(f"has a {CARD} whose {key} has a character that can't be printed: {value!a}")


def _outlier_threshold(value: Any) -> float | None:
    if value is None:
        return None
    try:
        threshold: Any = value["threshold"] if value["score"] == "energy" else None
        if type(threshold) in (int, float) and math.isfinite(threshold):
            return float(threshold)
    except (KeyError, TypeError, OverflowError):
        pass
    raise InvalidModel(f'has a {CARD} whose outlier is not such as {{"score": "energy", "threshold": -4.5}}')


def _shape(value: Any) -> Shape:
    keys = ("channels", "height", "width")
    sides: list[Any] = [value.get(key) for key in keys] if isinstance(value, dict) else []
    if not sides or not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        raise InvalidModel(
            f'has a {CARD} whose input is not such as {{"channels": 3, "height": 224, "width": 224}}'
        )
    if sides[0] not in (1, 3):
        raise InvalidModel(f"has a {CARD} whose input has {sides[0]} channels; expected 1 or 3")
    return Shape(*sides)


def _classes(value: Any) -> tuple[str | int, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_CLASSES:
        raise InvalidModel(f"has a {CARD} without classes; they are a list of at least two names or numbers")
    kinds = set(map(type, value))
    if kinds not in ({str}, {int}):
        raise InvalidModel(f"has a {CARD} whose classes are not all texts, or all whole numbers")
    if len(set(value)) != len(value):
        raise InvalidModel(f"has a {CARD} with a class that is there twice")
    for each in value:
        if isinstance(each, str):
            _check_text(each, "class")
        elif not -(2**63) <= each < 2**63:
            raise InvalidModel(f"has a {CARD} with a class of more than 64 bits")
    return tuple(value)
