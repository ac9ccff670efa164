"""``POST /predict``: images in, predictions out.

``submit`` and ``respond`` serve the fast path of ``service.server``, too: both ways answer alike.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.body import (
    check_announced,
    content_coding,
    decompress,
    find_header,
    media_type_of,
    read_body,
    read_options,
)
from service.api.forms import FORM, read_form_file
from service.api.request_context import CLOSE, Header
from service.api.state import Service, service_of
from service.errors import InvalidImage, TooManyImages, UnsupportedMediaType
from service.inference.pending import Abandoned
from service.inference.prediction import Prediction
from service.inputs import pictures
from service.inputs.image import Image, check_pixels, in_range
from service.inputs.numbers import BINARY, JSON
from service.tracing import step

PATH = "/predict"
NUMBERS = (JSON, BINARY)
NUMBER_BYTES = 5  # of a pixel as JSON, mostly
MANY_CLASSES = 100  # more than a client wants to see
FEW_CLASSES = 5
JSON_TYPE = (b"content-type", b"application/json")


class Predict:
    """The endpoint, as raw ASGI: a Request for each call would cost more than decoding its body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = service_of(scope)
        service.authorize(scope["headers"])
        content_type = find_header(scope["headers"], b"content-type")
        if media_type_of(content_type) in (*pictures.MEDIA_TYPES, FORM):
            body = await read_admitted_file(service, scope, receive)
        else:
            body = await read_admitted_numbers(service, scope, receive)
        options = read_options(scope["query_string"])
        with step("decode"):
            pixels = await read_pixels(service, content_type, body)
        answer = await submit(service, pixels, receive, draft=options.draft)
        with step("encode"):
            preview = pixels if options.preview else None
            response = respond(answer, preview, options.top, explain=options.explain)
        if options.close:
            response.raw_headers.append(CLOSE)
        await response(scope, receive, send)


class JSONBytes(Response):
    """A response of JSON that is encoded already, without what Starlette's own would work out again."""

    status_code = HTTPStatus.OK
    background = None

    def __init__(self, body: bytes) -> None:
        self.body = body

    @cached_property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]
        """The headers, for ASGI; the fast path has them as lines."""
        return [JSON_TYPE, (b"content-length", b"%d" % len(self.body))]

    @property
    def header_lines(self) -> bytes:
        """The same, as HTTP/1.1 writes them."""
        return b"content-type: application/json\r\ncontent-length: %d\r\n" % len(self.body)


async def read_pixels(service: Service, content_type: bytes, body: bytes) -> Image:
    """Return the pixels in a body: one image, flat, or many, shape (N, size).

    Raises:
        UnsupportedMediaType: the content type is none that is taken.
        ServiceError: what the readers raise.
    """
    media_type = media_type_of(content_type)
    if media_type in NUMBERS:
        return await service.read_numbers(media_type, body)
    if media_type in pictures.MEDIA_TYPES:
        return await service.decoder.run(service.read_picture, body)
    if media_type == FORM:
        return await service.decoder.run(partial(_read_form, service, content_type), body)
    found, size = media_type[:80].decode("latin-1") or "missing", service.card.shape.size
    raise UnsupportedMediaType(
        f"Content-Type is {found}; send application/json, or application/octet-stream with {size} uint8 or "
        f"{size} little-endian float32 pixels, or a picture: image/png, image/jpeg, image/webp, or a form "
        "(multipart/form-data) with one of these"
    )


def _read_form(service: Service, content_type: bytes, form: bytes, /, *, quick: bool) -> Image:
    return service.read_picture(read_form_file(content_type, form), quick=quick)


async def read_admitted_numbers(service: Service, scope: Scope, receive: Receive) -> bytes:
    """Return a body of numbers, which may be many images, as ``_read_admitted`` does."""
    image_bytes = NUMBER_BYTES * service.card.shape.size
    return await _read_admitted(service, scope, receive, image_bytes, service.max_body_bytes)


async def read_admitted_file(service: Service, scope: Scope, receive: Receive) -> bytes:
    """Return a body with one picture as ``_read_admitted`` does."""
    return await _read_admitted(service, scope, receive, math.inf, service.settings.max_picture_bytes)


async def _read_admitted(
    service: Service, scope: Scope, receive: Receive, image_bytes: float, limit: int
) -> bytes:
    """Return the body of a request for which the queue has room, as far as its size tells.

    Its head says how large it is: what can't have room is refused before it is read.

    Raises:
        QueueFull: there is no room for as many images as it is likely to hold, of ``image_bytes`` each, or no
            memory for so large a body.
        ServiceError: what ``content_coding``, ``read_body`` and ``decompress`` raise.
    """
    most = service.max_images

    def images_in(size: int) -> int:
        return max(1, min(int(size // image_bytes), most))

    def note(size: int) -> None:
        scope["state"]["body_bytes"] = size  # a refusal counts as what was read
        if size <= limit:
            grow(size)

    coding = content_coding(scope)
    announced = check_announced(scope, limit)
    with service.batcher.reserve(images_in(announced)), service.large_bodies.account() as grow:
        grow(announced)
        body = await read_body(receive, limit, note)
    if coding:
        scope["state"]["body_bytes"] = limit  # where it is too large, so much is decoded
        body = await service.decoder.run(partial(decompress, coding, limit), body)
        scope["state"]["body_bytes"] = len(body)
    service.batcher.check_room(images_in(len(body)))  # it may have come in chunks, or compressed
    return body


def submit(
    service: Service, pixels: Image, abandoned: Abandoned | None = None, *, draft: bool = False
) -> asyncio.Future[Prediction] | asyncio.Future[list[Prediction]]:
    """Queue one image, flat, or many, shape (N, size); resolves to a prediction, or to a list of them.

    The metrics leave the predictions of a ``draft`` out.

    Raises:
        ServiceError: what ``Batcher.submit`` or ``submit_many`` raises.
    """
    if pixels.ndim == 1:
        return service.batcher.submit(pixels, abandoned=abandoned, draft=draft)
    return submit_many(service, pixels, "images", abandoned, draft=draft)


def submit_many(
    service: Service, pixels: Image, name: str, abandoned: Abandoned | None = None, *, draft: bool = False
) -> asyncio.Future[list[Prediction]]:
    """Queue many images, shape (N, size), which the client calls ``name``.

    Raises:
        TooManyImages: more than one request may have.
        InvalidImage: there is none, or one has a pixel outside 0..1.
        QueueFull: the queue does not have room for all of them; then none is queued.
    """
    limit = service.max_images
    if len(pixels) > limit:
        raise TooManyImages(f"{name} has {len(pixels)} images; at most {limit} in one request")
    if not len(pixels):
        raise InvalidImage(f"{name} is empty; send at least one image", pointer=f"/{name}")
    if not in_range(pixels):
        for i, image in enumerate(pixels):
            check_pixels(image, where=f"{name}[{i}]", pointer=f"/{name}/{i}")
    return service.batcher.submit_all(pixels, abandoned=abandoned, draft=draft)


def respond(
    answer: Prediction | Sequence[Prediction],
    preview: Image | None = None,
    top: int | None = None,
    *,
    explain: bool = False,
) -> Response:
    """Return the response with a prediction, or with a list of them.

    ``preview`` has the images, flat or of shape (N, size), if the client asked to see them; ``top`` is of how
    many of the likeliest classes it wants to know, if not of all; ``explain`` is for the score of outliers.
    """
    if isinstance(answer, Prediction):
        return JSONBytes(_encode(answer, preview, top, explain))
    images = preview if preview is not None else [None] * len(answer)
    encoded = (_encode(one, image, top, explain) for one, image in zip(answer, images, strict=True))
    return JSONBytes(b'{"predictions":[%s]}' % b",".join(encoded))


def _encode(prediction: Prediction, image: Image | None, top: int | None, explain: bool) -> bytes:
    card = prediction.model
    content: dict[str, Any] = {
        card.target: card.classes[prediction.place],
        "confidence": prediction.confidence,
    }
    if top is None and len(card.classes) <= MANY_CLASSES:
        content["probabilities"] = prediction.probabilities
    else:
        content["top"] = [
            {"label": label, "probability": probability}
            for label, probability in prediction.likeliest(top or FEW_CLASSES)
        ]
    if prediction.energy is not None:
        content["outlier"] = prediction.outlier
        if explain:
            content["outlier_score"] = prediction.energy
    content["model"] = card.encoded
    if image is not None:
        content["image"] = image
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
