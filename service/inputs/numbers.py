"""Pixels that are sent as numbers: JSON and raw bytes, each byte read once.

One image is a flat array; the images of ``{"images": [...]}`` are one of shape (N, size).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import simdjson

from service.errors import InvalidImage
from service.inputs import json_errors
from service.inputs.image import Image, Shape, as_float32

JSON = b"application/json"
BINARY = b"application/octet-stream"


class NumberReader:
    """Reads JSON and raw bytes as images of one shape.

    One parser serves every request, because simdjson reuses its memory: a reader belongs to one thread.
    A body with far more numbers than ``max_images`` images is refused unread.
    """

    def __init__(self, shape: Shape, max_images: int) -> None:
        self._shape = shape
        self._size = shape.size
        self._max_images = max_images
        self._parser = simdjson.Parser()

    def read(self, media_type: bytes, body: bytes) -> Image:
        """Return the pixels of a body that is ``JSON`` or ``BINARY``.

        Raises:
            InvalidBody, TooManyImages: the bytes do not parse.
            InvalidImage: they parse, but are no image, or no list of images. Whether each pixel lies in 0..1
                is left to the caller, for whom one vectorised check serves a whole batch.
        """
        if media_type == BINARY:
            return self._read_binary(body)
        pixels = self._read_plain(body)
        return pixels if pixels is not None else self.read_exactly(body)

    def read_plain(self, media_type: bytes, body: bytes) -> Image | None:
        """Return what ``read`` does if that takes no time worth speaking of; None otherwise."""
        return self._read_binary(body) if media_type == BINARY else self._read_plain(body)

    def read_exactly(self, body: bytes) -> Image:
        """Return what ``read`` does for JSON, in some ten times the time of ``read_plain``; in any thread."""
        return json_errors.read(body, self._shape, self._max_images)

    def _read_plain(self, body: bytes) -> Image | None:
        """Read ``{"image": …}`` or ``{"images": […]}`` at the speed of the parser; None for anything else.

        Counting brackets rules out nesting that ``as_buffer`` would flatten without a word. No local may
        outlive this call: simdjson reuses its memory only when nothing refers to the last document.
        """
        try:
            document: Any = self._parser.parse(body)
            [name] = document.keys()
            value = document[name]  # not from items(), which would make Python lists of arrays
            if name == "image":
                if self._count_brackets(value) == body.count(b"["):
                    return np.frombuffer(value.as_buffer(of_type="d"))
            elif name == "images" and 1 + sum(map(self._count_brackets, value)) == body.count(b"["):
                return as_float32(np.frombuffer(value.as_buffer(of_type="d")).reshape(-1, self._size))
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RuntimeError,
        ):
            pass
        return None

    def _count_brackets(self, image: Any) -> int:
        """Return how many brackets an image opens that is flat, or nested as its shape is.

        Raises:
            ValueError, TypeError: it is neither.
        """
        return 1 if len(image) == self._size else _count_nested(image, self._shape.sides)

    def _read_binary(self, body: bytes) -> Image:
        if len(body) == self._size:
            return np.frombuffer(body, np.uint8) / np.float32(255)
        if len(body) == 4 * self._size:
            return np.frombuffer(body, "<f4")
        raise InvalidImage(
            f"the body is {len(body)} bytes; expected {self._size} (uint8, 0..255) or {4 * self._size} "
            "(little-endian float32, 0..1)"
        )


def _count_nested(value: Any, sides: tuple[int, ...]) -> int:
    if len(value) != sides[0]:
        raise ValueError
    inner = sides[1:]
    return 1 if not inner else 1 + sum(_count_nested(each, inner) for each in value)
