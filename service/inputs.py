"""Whatever ``POST /predict`` takes besides one image of numbers: many of them, pictures, forms, options."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

import orjson
from starlette.types import Message, Receive

from service.batcher import Batcher
from service.codec import Decoder, encode
from service.errors import (
    BodyTooLarge,
    InvalidImage,
    InvalidOption,
    QueueFull,
    RequestAbandoned,
    TooManyImages,
)
from service.images import MEDIA_TYPES, PictureReader
from service.model import Prediction
from service.pixels import Image, check_pixels, in_range

FORM = "multipart/form-data"


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTooLarge: it has more than ``limit`` bytes; no more than one chunk past it is kept.
        RequestAbandoned: the client has gone before its end.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestAbandoned
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise BodyTooLarge(
                f"the body is over {limit} bytes; an image of 784 numbers needs less than 20000"
            )
    return body


class Options(NamedTuple):
    """What the query string of a request asks for."""

    preview: bool = False
    close: bool = False


NO_OPTIONS = Options()


def read_options(query: bytes) -> Options:
    """Read a query string, such as ``preview=true``; what it does not name is off.

    Raises:
        InvalidOption: an option is neither true nor false.
    """
    if not query:
        return NO_OPTIONS
    options = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in Options._fields:
            if value not in ("true", "false"):
                raise InvalidOption(f"{name} is {value[:20]!r}; expected true or false")
            options[name] = value == "true"
    return Options(**options)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Brings every kind of input to the batcher, and its answers back."""

    batcher: Batcher
    decoder: Decoder
    pictures: PictureReader
    max_images: int
    max_queue_size: int

    async def answer(self, content_type: bytes, body: bytes, receive: Receive, *, preview: bool) -> bytes:
        """Return the JSON that answers a body of any kind; with a preview, it has each image, too.

        Raises:
            ServiceError: many of its kinds; the body is wrong, or there is no room.
        """
        media_type = content_type.partition(b";")[0].strip().lower()
        if media_type.decode("latin-1") in MEDIA_TYPES:
            decoded: Image | list[Image] = await self.pictures.read(body)
        elif media_type.decode("latin-1") == FORM:
            from service.forms import read_form_file

            decoded = await self.pictures.read(await read_form_file(content_type, body))
        else:
            decoded = self.decoder.decode_any(media_type, body)
        if isinstance(decoded, list):
            predictions = await self.predict_all(decoded, receive)
            answers = map(_with_image if preview else _alone, predictions, decoded)
            return b'{"predictions":[%s]}' % b",".join(answers)
        prediction = await self.batcher.submit(decoded, abandoned=receive)
        return (_with_image if preview else _alone)(prediction, decoded)

    async def predict_all(
        self, images: Sequence[Image], receive: Receive, name: str = "images"
    ) -> list[Prediction]:
        """Return the predictions of many images, each of shape (784,), in batches shared with everybody else.

        Raises:
            TooManyImages: more than one request may bring.
            InvalidImage: there is none, or one has a pixel outside 0..1; ``name`` is what the client calls
                the list.
            QueueFull: the queue does not have room for all of them; then none is queued.
        """
        limit = min(self.max_images, self.max_queue_size)
        if len(images) > limit:
            raise TooManyImages(f"{name} has {len(images)} images; at most {limit} in one request")
        if not images:
            raise InvalidImage(f"{name} is empty; send at least one image", pointer=f"/{name}")
        for i, image in enumerate(images):
            if not in_range(image):
                check_pixels(image, where=f"{name}[{i}]", pointer=f"/{name}/{i}")
        if self.batcher.depth + len(images) > self.max_queue_size:
            raise QueueFull(f"the queue has no room for {len(images)} images now; try again in a second")
        gone = _Gone(receive)
        replies = [self.batcher.submit(image, abandoned=gone.wait) for image in images]
        try:
            return await asyncio.gather(*replies)
        finally:
            for reply in replies:
                reply.cancel()
            gone.forget()


def _alone(prediction: Prediction, _: Image) -> bytes:
    return encode(prediction)


def _with_image(prediction: Prediction, image: Image) -> bytes:
    return encode(prediction)[:-1] + b',"image":%s}' % orjson.dumps(image, option=orjson.OPT_SERIALIZE_NUMPY)


class _Gone:
    """Tells all images of one request when its client has gone; the connection is asked once."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._asked: asyncio.Future[Message] | None = None

    async def wait(self) -> object:
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._receive())
        return await asyncio.shield(self._asked)

    def forget(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
