"""The slow reader of JSON: it takes what the fast path leaves, or says exactly what is wrong with it."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np

from service.errors import InvalidBody, InvalidImage
from service.pixels import PIXELS, SIDE, Image


def one_image(document: Any) -> Image:
    """Return the image of ``{"image": [...]}``, shape (784,).

    Raises:
        InvalidImage: says what was found, where, and what was expected.
    """
    if not isinstance(document, dict):
        raise InvalidImage(
            f'the body is {_describe(document)}; expected an object: {{"image": [...]}}', pointer=""
        )
    if "image" not in document:
        found = ", ".join(repr(key[:20]) for key in list(document)[:5]) or "no members"
        raise InvalidImage(f'no "image" in the body (found {found}); expected {{"image": [...]}}', pointer="")
    return _image(document["image"], "image", "/image")


def one_or_many_images(document: Any) -> Image | list[Image]:
    """Return the images of ``{"images": [...]}``, or else what ``one_image`` returns."""
    if not isinstance(document, dict) or "images" not in document:
        return one_image(document)
    if "image" in document:
        raise InvalidImage('both "image" and "images" are in the body; send one of them', pointer="")
    images = document["images"]
    if not isinstance(images, list):
        raise InvalidImage(f"images is {_describe(images)}; expected a list of images", pointer="/images")
    return [_image(image, f"images[{i}]", f"/images/{i}") for i, image in enumerate(images)]


def _image(image: Any, where: str, pointer: str) -> Image:
    if not isinstance(image, list):
        raise InvalidImage(
            f"{where} is {_describe(image)}; expected a list of {PIXELS} numbers", pointer=pointer
        )
    if any(isinstance(row, list) for row in image):
        return np.array([pixel for row in _rows(image, where, pointer) for pixel in row])
    if len(image) != PIXELS:
        raise InvalidImage(
            f"{where} has {len(image)} pixels; expected {PIXELS} ({SIDE} x {SIDE}, row by row)",
            pointer=pointer,
        )
    return np.array([_pixel(value, f"{where}[{i}]", f"{pointer}/{i}") for i, value in enumerate(image)])


def _rows(image: list[Any], where: str, pointer: str) -> list[list[float]]:
    if len(image) != SIDE:
        raise InvalidImage(f"{where} has {len(image)} rows; expected {SIDE}", pointer=pointer)
    rows = []
    for y, row in enumerate(image):
        at, to = f"{where}[{y}]", f"{pointer}/{y}"
        if not isinstance(row, list):
            raise InvalidImage(f"{at} is {_describe(row)}; expected a row of {SIDE} numbers", pointer=to)
        if len(row) != SIDE:
            raise InvalidImage(f"{at} has {len(row)} pixels; expected {SIDE}", pointer=to)
        rows.append([_pixel(value, f"{at}[{x}]", f"{to}/{x}") for x, value in enumerate(row)])
    return rows


def _pixel(value: Any, where: str, pointer: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidImage(f"{where} is {_describe(value)}; expected a number in 0..1", pointer=pointer)
    try:
        pixel = float(value)
    except OverflowError:
        pixel = math.inf
    return pixel


def parse(body: bytes) -> Any:
    """Return the JSON document that a body holds.

    Raises:
        InvalidBody: the bytes are not JSON, or not JSON that everybody reads alike.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError as error:
        raise InvalidBody(
            f"the body is not UTF-8 (byte {body[error.start]:#04x} at offset {error.start}); JSON is"
        ) from None
    except json.JSONDecodeError as error:
        if not body.strip():
            raise InvalidBody('the body is empty; expected {"image": [...]}') from None
        raise InvalidBody(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply; expected a list of numbers") from None
    except ValueError as error:
        raise InvalidBody(f"the body has a number that can't be read: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise InvalidBody(
        f"the body contains {name}, which JSON has no number for; pixels are finite numbers in 0..1"
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidBody(
            "the body has an object with the same name twice; which one counts is anyone's guess"
        )
    return members


def _describe(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {value[:20]!r}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case _:
            return f"the number {value}"[:40]
