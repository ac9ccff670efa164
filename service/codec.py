"""Request bytes to pixels, predictions to bytes: each byte touched once, each refusal precise."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import simdjson

from service import careful
from service.errors import InvalidImage, UnsupportedMediaType
from service.model import Prediction
from service.pixels import PIXELS, SIDE, Image

JSON = b"application/json"
BINARY = b"application/octet-stream"


class NotPlain(Exception):
    """The body is not one image of numbers: ``service.inputs`` knows the other forms."""


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
            NotPlain: neither JSON nor bytes, or JSON that may hold more than one image.
        """
        if content_type.startswith(JSON):
            image = self._fast_json(body)
            if image is None and b'"images"' in body:
                raise NotPlain
            return image if image is not None else careful.one_image(careful.parse(body))
        if content_type.startswith(BINARY):
            return _binary(body)
        raise NotPlain

    def decode_any(self, content_type: bytes, body: bytes) -> Image | list[Image]:
        """Return the image that a body holds, or the list of them if it is ``{"images": [...]}``.

        Raises:
            InvalidBody, InvalidImage: as ``decode`` does.
            UnsupportedMediaType: neither JSON nor bytes.
        """
        if content_type.startswith(BINARY):
            return _binary(body)
        if not content_type.startswith(JSON):
            found = content_type[:80].decode("latin-1") or "missing"
            raise UnsupportedMediaType(
                f"Content-Type is {found}; send application/json, or application/octet-stream with {PIXELS} "
                f"uint8 or {PIXELS} little-endian float32 pixels, or a picture: image/png, image/jpeg, "
                "image/webp, or a form (multipart/form-data) with one of these"
            )
        images = self._fast_many(body)
        return images if images is not None else careful.one_or_many_images(careful.parse(body))

    def _fast_json(self, body: bytes) -> Image | None:
        """Read the two plain forms at the speed of the parser; None for anything else, good or bad.

        Looking at brackets rules out nesting that ``as_buffer`` would flatten without a word. No local
        may outlive this call: simdjson reuses its memory only when nothing refers to the last document.
        """
        try:
            document: Any = self._parser.parse(body)
            if len(document) != 1:
                return None
            image = document["image"]
            if len(image) == PIXELS:
                plain = body.find(b"[", body.index(b"[") + 1) < 0
            else:
                plain = len(image) == SIDE == body.count(b"[") - 1 and all(len(row) == SIDE for row in image)
            return np.frombuffer(image.as_buffer(of_type="d")) if plain else None
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return None

    def _fast_many(self, body: bytes) -> list[Image] | None:
        """Do for ``{"images": [[784 numbers], ...]}`` what ``_fast_json`` does for one image."""
        try:
            document: Any = self._parser.parse(body)
            images = document["images"]
            flat = len(document) == 1 and body.count(b"[") == 1 + len(images)
            if not flat or any(len(image) != PIXELS for image in images):
                return None
            return [np.frombuffer(image.as_buffer(of_type="d")) for image in images]
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
