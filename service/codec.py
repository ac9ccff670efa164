"""Request bytes to pixels, predictions to bytes: each byte touched once, each refusal precise."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np
import orjson
import simdjson

from service.errors import InvalidBody, InvalidImage, UnsupportedMediaType
from service.model import Prediction
from service.pixels import PIXELS, SIDE, Image

JSON = b"application/json"
BINARY = b"application/octet-stream"


class Decoder:
    """Turns request bodies into images of shape (784,).

    One parser serves every request (simdjson reuses its memory), so a decoder belongs to one thread.
    """

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

    def decode(self, content_type: bytes, body: bytes) -> Image:
        """Return the image that a body of this content type holds.

        Raises:
            InvalidBody: the bytes do not parse.
            InvalidImage: they parse, but not to 784 numbers. Whether each lies in 0..1 is left to the
                batch, where one vectorised check serves all of its images.
            UnsupportedMediaType: neither JSON nor bytes.
        """
        if content_type.startswith(JSON):
            image = self._fast_json(body)
            return image if image is not None else _careful_json(body)
        if content_type.startswith(BINARY):
            return _binary(body)
        found = content_type.decode("latin-1") or "missing"
        raise UnsupportedMediaType(
            f"Content-Type is {found}; send application/json, or application/octet-stream with "
            f"{PIXELS} uint8 or {PIXELS} little-endian float32 pixels"
        )

    def _fast_json(self, body: bytes) -> Image | None:
        """Read the two plain forms at the speed of the parser; None for anything else, good or bad.

        Counting brackets rules out nesting that ``as_buffer`` would flatten without a word. No local
        may outlive this call: simdjson reuses its memory only when nothing refers to the last document.
        """
        try:
            document: Any = self._parser.parse(body)
            if len(document) != 1:
                return None
            image = document["image"]
            brackets = body.count(b"[")
            flat = brackets == 1 and len(image) == PIXELS
            nested = brackets == 1 + SIDE and len(image) == SIDE and all(len(row) == SIDE for row in image)
            return np.frombuffer(image.as_buffer(of_type="d")) if flat or nested else None
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return None


def encode(prediction: Prediction) -> bytes:
    """Return the JSON of a prediction."""
    return orjson.dumps(
        {
            "digit": prediction.digit,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
            "model": {"name": prediction.model.name, "version": prediction.model.version},
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _binary(body: bytes) -> Image:
    if len(body) == PIXELS:
        return np.frombuffer(body, np.uint8) / np.float32(255)
    if len(body) == 4 * PIXELS:
        return np.frombuffer(body, "<f4")
    raise InvalidImage(
        f"the body is {len(body)} bytes; expected {PIXELS} (uint8, 0..255) or {4 * PIXELS} "
        "(little-endian float32, 0..1)"
    )


def _careful_json(body: bytes) -> Image:
    """Read what the fast path would not: accept it if it is right, else say exactly what is wrong."""
    document = _parse(body)
    if not isinstance(document, dict):
        raise InvalidImage(
            f'the body is {_describe(document)}; expected an object: {{"image": [...]}}', pointer=""
        )
    if "image" not in document:
        found = ", ".join(repr(key) for key in list(document)[:5]) or "no members"
        raise InvalidImage(f'no "image" in the body (found {found}); expected {{"image": [...]}}', pointer="")
    image = document["image"]
    if not isinstance(image, list):
        raise InvalidImage(
            f"image is {_describe(image)}; expected a list of {PIXELS} numbers", pointer="/image"
        )
    if any(isinstance(row, list) for row in image):
        return np.array([pixel for row in _rows(image) for pixel in row])
    if len(image) != PIXELS:
        raise InvalidImage(
            f"image has {len(image)} pixels; expected {PIXELS} ({SIDE} x {SIDE}, row by row)",
            pointer="/image",
        )
    return np.array([_pixel(value, f"image[{i}]", f"/image/{i}") for i, value in enumerate(image)])


def _rows(image: list[Any]) -> list[list[float]]:
    if len(image) != SIDE:
        raise InvalidImage(f"image has {len(image)} rows; expected {SIDE}", pointer="/image")
    rows = []
    for y, row in enumerate(image):
        if not isinstance(row, list):
            raise InvalidImage(
                f"image[{y}] is {_describe(row)}; expected a row of {SIDE} numbers", pointer=f"/image/{y}"
            )
        if len(row) != SIDE:
            raise InvalidImage(f"image[{y}] has {len(row)} pixels; expected {SIDE}", pointer=f"/image/{y}")
        rows.append([_pixel(value, f"image[{y}][{x}]", f"/image/{y}/{x}") for x, value in enumerate(row)])
    return rows


def _pixel(value: Any, where: str, pointer: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidImage(f"{where} is {_describe(value)}; expected a number in 0..1", pointer=pointer)
    try:
        pixel = float(value)
    except OverflowError:
        pixel = math.inf
    return pixel


def _parse(body: bytes) -> Any:
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
