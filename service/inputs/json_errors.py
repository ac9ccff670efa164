"""The exact reader of JSON: it takes what the fast one leaves, or says what is wrong with it and where."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidBody, InvalidImage, TooManyImages
from service.inputs.image import PIXELS, SIDE, Image, as_float32

NUMBERS = {int, float}
# Of each kind of mark, a document may have so many beside those of its images: names, shapes, parameters.
SPARE_MARKS = 1000


def read(body: bytes, max_images: int) -> Image:
    """Return the pixels of ``{"image": …}``, shape (784,), or of ``{"images": […]}``, shape (N, 784).

    Raises:
        InvalidBody, TooManyImages: what ``parse`` raises.
        InvalidImage: it is JSON, but not of this form.
    """
    if not body.strip():
        raise InvalidBody('the body is empty; expected {"image": [...]}')
    document = parse(body, max_images)
    if not isinstance(document, dict):
        raise InvalidImage(
            f'the body is {_describe(document)}; expected an object: {{"image": [...]}}', pointer=""
        )
    if "images" in document:
        return _many(document)
    if "image" not in document:
        found = ", ".join(repr(key[:20]) for key in list(document)[:5]) or "no members"
        raise InvalidImage(f'no "image" in the body (found {found}); expected {{"image": [...]}}', pointer="")
    return as_doubles(_flatten(document["image"], "image", "/image"))


def parse(body: bytes, max_images: int) -> Any:
    """Return the JSON document that a body holds (RFC 8259, in its strict reading; a BOM is ignored).

    Raises:
        InvalidBody: the bytes are not UTF-8 or not JSON, an object has a key twice, a number is not finite,
            or there are far too many objects.
        TooManyImages: there are more numbers or lists than ``max_images`` images have.
    """
    _check_counts(body, max_images)
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
        )
    except UnicodeDecodeError as error:
        raise InvalidBody(
            f"the body is not UTF-8 (byte {body[error.start]:#04x} at offset {error.start}); JSON is"
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidBody(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply; expected a list of numbers") from None
    except ValueError as error:
        raise InvalidBody(f"the body has a number that can't be read: {error}") from None


def _check_counts(body: bytes, max_images: int) -> None:
    """Refuse a document that has more in it than images: parsing takes time for each value, not each byte."""
    for mark, name in ((b"{", "objects"), (b":", "members")):
        if (found := body.count(mark)) > SPARE_MARKS:
            raise InvalidBody(f"the body has {found} {name}; expected an object with a list of numbers")
    for mark, each, name in ((b",", PIXELS, "values"), (b"[", SIDE + 2, "lists")):
        if (found := body.count(mark)) > each * max_images + SPARE_MARKS:
            raise TooManyImages(
                f"the body has {found} {name}, more than {max_images} images of {SIDE} x {SIDE} numbers, "
                "which is the most in one request"
            )


def _many(document: dict[str, Any]) -> Image:
    if "image" in document:
        raise InvalidImage('both "image" and "images" are in the body; send one of them', pointer="")
    images = document["images"]
    if not isinstance(images, list):
        raise InvalidImage(f"images is {_describe(images)}; expected a list of images", pointer="/images")
    # All are checked before the first is converted: an error costs no more than it takes to find it.
    flat = [_flatten(image, f"images[{i}]", f"/images/{i}") for i, image in enumerate(images)]
    return as_float32(as_doubles(flat).reshape(-1, PIXELS))


def _flatten(image: Any, where: str, pointer: str) -> list[int | float]:
    """Return the pixels of an image, which may be in rows, as one list of numbers."""
    if not isinstance(image, list):
        raise InvalidImage(
            f"{where} is {_describe(image)}; expected a list of {PIXELS} numbers", pointer=pointer
        )
    types = set(map(type, image))
    if list in types:
        return _join_rows(image, where, pointer)
    if len(image) != PIXELS:
        raise InvalidImage(
            f"{where} has {len(image)} pixels; expected {PIXELS} ({SIDE} x {SIDE}, row by row)",
            pointer=pointer,
        )
    _check_types(image, types, where, pointer)
    return image


def _join_rows(image: list[Any], where: str, pointer: str) -> list[int | float]:
    if len(image) != SIDE:
        raise InvalidImage(f"{where} has {len(image)} rows; expected {SIDE}", pointer=pointer)
    pixels: list[int | float] = []
    for y, row in enumerate(image):
        at, to = f"{where}[{y}]", f"{pointer}/{y}"
        if not isinstance(row, list):
            raise InvalidImage(f"{at} is {_describe(row)}; expected a row of {SIDE} numbers", pointer=to)
        if len(row) != SIDE:
            raise InvalidImage(f"{at} has {len(row)} pixels; expected {SIDE}", pointer=to)
        _check_types(row, set(map(type, row)), at, to)
        pixels += row
    return pixels


def _check_types(values: list[Any], types: set[type], where: str, pointer: str) -> None:
    # bool is a subclass of int, but true is not a number in JSON: the types are compared, not their ancestry.
    if types <= NUMBERS:
        return
    index, value = next((i, value) for i, value in enumerate(values) if type(value) not in NUMBERS)
    raise InvalidImage(
        f"{where}[{index}] is {_describe(value)}; expected a number in 0..1", pointer=f"{pointer}/{index}"
    )


def as_doubles(numbers: list[Any]) -> NDArray[np.float64]:
    """Return numbers, or even lists of them, as doubles; an integer beyond them becomes infinite."""
    try:
        return np.array(numbers, np.float64)
    except OverflowError:
        return np.vectorize(_as_double, otypes=[np.float64])(np.array(numbers, object))  # type: ignore[no-any-return]


def _as_double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidBody(
        f"the body contains {name}, which JSON has no number for; pixels are finite numbers in 0..1"
    )


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidBody("the body has an object with the same name twice; duplicate keys are not allowed")
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
