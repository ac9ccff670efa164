"""The exact reader of JSON: it takes what the fast one leaves, or says what is wrong with it and where."""

from __future__ import annotations

import json
import math
import sys
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidBody, InvalidImage, TooManyImages
from service.inputs.image import Image, Shape, as_float32
from service.inputs.json_steps import StepwiseDecoder
from service.inputs.turns import pieces

NUMBERS = {int, float}
# Of each kind of mark, a document may have so many beside those of its images: names, shapes, parameters.
SPARE_MARKS = 1000
SMALL_BYTES = 32 << 10  # read within a millisecond


def read(body: bytes, shape: Shape, max_images: int) -> Image:
    """Return the pixels of ``{"image": …}``, flat, or of ``{"images": […]}``, shape (N, size).

    Raises:
        InvalidBody, TooManyImages: what ``parse`` raises.
        InvalidImage: it is JSON, but not of this form.
    """
    if not body.strip():
        raise InvalidBody('the body is empty; expected {"image": [...]}')
    return read_document(parse(body, shape, max_images), shape)


def read_document(document: Any, shape: Shape) -> Image:
    """Return the pixels of a document that ``parse`` has read, as ``read`` does."""
    if not isinstance(document, dict):
        raise InvalidImage(
            f'the body is {_describe(document)}; expected an object: {{"image": [...]}}', pointer=""
        )
    if "images" in document:
        return _many(document, shape)
    if "image" not in document:
        found = ", ".join(repr(key[:20]) for key in list(document)[:5]) or "no members"
        raise InvalidImage(f'no "image" in the body (found {found}); expected {{"image": [...]}}', pointer="")
    return as_doubles(_flatten(document["image"], shape, "image", "/image"))


def parse(body: bytes, shape: Shape, max_images: int) -> Any:
    """Return the JSON document that a body holds (RFC 8259, in its strict reading; a BOM is ignored).

    Raises:
        InvalidBody: the bytes are not UTF-8 or not JSON, an object has a key twice, a number is not finite,
            or there are far too many objects.
        TooManyImages: there are more numbers or lists than ``max_images`` images have.
    """
    _check_counts(body, shape, max_images)
    decoder = json.JSONDecoder if len(body) <= SMALL_BYTES else StepwiseDecoder
    try:
        return decoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates).decode(
            body.decode("utf-8-sig")
        )
    except UnicodeDecodeError as error:
        raise InvalidBody(
            f"the body is not UTF-8 (byte {body[error.start]:#04x} at offset {error.start}); JSON is"
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidBody(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply; expected a list of numbers") from None
    except ValueError:  # Python's own limit, as to read them takes quadratic time
        raise InvalidBody(
            f"the body has a number of over {sys.get_int_max_str_digits()} digits; pixels are numbers in 0..1"
        ) from None


def _check_counts(body: bytes, shape: Shape, max_images: int) -> None:
    """Refuse a document that has more in it than images: parsing takes time for each value, not each byte."""
    characters = np.frombuffer(body, np.uint8)

    def count(mark: str) -> int:  # several times as fast as bytes.count
        return int(np.count_nonzero(characters == ord(mark)))

    for mark, name in (("{", "objects"), (":", "members")):
        if (found := count(mark)) > SPARE_MARKS:
            raise InvalidBody(f"the body has {found} {name}; expected an object with a list of numbers")
    lists = 2 + shape.height + math.prod(shape.sides[:-1])
    for mark, each, name in ((",", shape.size, "values"), ("[", lists, "lists")):
        if (found := count(mark)) > each * max_images + SPARE_MARKS:
            raise TooManyImages(
                f"the body has {found} {name}, more than {max_images} images of {shape} numbers, "
                "which is the most in one request"
            )
    if (texts := count('"') // 2) > SPARE_MARKS:
        raise InvalidBody(f"the body has {texts} texts; expected an object with a list of numbers")


def _many(document: dict[str, Any], shape: Shape) -> Image:
    if "image" in document:
        raise InvalidImage('both "image" and "images" are in the body; send one of them', pointer="")
    images = document["images"]
    if not isinstance(images, list):
        raise InvalidImage(f"images is {_describe(images)}; expected a list of images", pointer="/images")
    # All are checked before the first is converted: an error costs no more than it takes to find it.
    flat = [_flatten(image, shape, f"images[{i}]", f"/images/{i}") for i, image in enumerate(images)]
    return as_float32(as_doubles(flat).reshape(-1, shape.size))


def _flatten(image: Any, shape: Shape, where: str, pointer: str) -> list[int | float]:
    """Return the pixels of an image, which may be nested as its shape is, as one list of numbers."""
    if not isinstance(image, list):
        raise InvalidImage(
            f"{where} is {_describe(image)}; expected a list of {shape.size} numbers", pointer=pointer
        )
    types = _types(image)
    if list in types:
        pixels: list[int | float] = []
        _join(image, shape.sides, where, pointer, pixels)
        return pixels
    if len(image) != shape.size:
        order = "row by row" if shape.channels == 1 else "by row, column and channel"
        raise InvalidImage(
            f"{where} has {len(image)} pixels; expected {shape.size} ({shape}, {order})", pointer=pointer
        )
    _check_types(image, types, where, pointer)
    return image


def _join(value: Any, sides: tuple[int, ...], where: str, pointer: str, pixels: list[int | float]) -> None:
    """Append the numbers of nested lists."""
    side, inner = sides[0], sides[1:]
    if not isinstance(value, list):
        raise InvalidImage(
            f"{where} is {_describe(value)}; expected a row of {side} numbers", pointer=pointer
        )
    if len(value) != side:
        what = "rows" if inner else "pixels"
        raise InvalidImage(f"{where} has {len(value)} {what}; expected {side}", pointer=pointer)
    if inner:
        for i, each in enumerate(value):
            _join(each, inner, f"{where}[{i}]", f"{pointer}/{i}", pixels)
    else:
        _check_types(value, _types(value), where, pointer)
        pixels += value


def _types(values: list[Any]) -> set[type]:
    return {kind for piece in pieces(values) for kind in set(map(type, piece))}


def _check_types(values: list[Any], types: set[type], where: str, pointer: str) -> None:
    # bool is a subclass of int, but true is not a number in JSON: the types are compared, not their ancestry.
    if types <= NUMBERS:
        return
    index, value = next((i, value) for i, value in enumerate(values) if type(value) not in NUMBERS)
    raise InvalidImage(
        f"{where}[{index}] is {_describe(value)}; expected a number in 0..1", pointer=f"{pointer}/{index}"
    )


def as_doubles(numbers: list[Any]) -> NDArray[np.float64]:
    """Return numbers, which may lie in lists, as flat doubles; an integer beyond them becomes infinite."""
    if numbers and isinstance(numbers[0], list):
        return np.concatenate(list(map(as_doubles, numbers)))
    return np.concatenate([np.empty(0), *map(_as_doubles, pieces(numbers))])


def _as_doubles(numbers: list[int | float]) -> NDArray[np.float64]:
    try:
        return np.array(numbers, np.float64)
    except OverflowError:
        return np.array(list(map(_as_double, numbers)), np.float64)


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
