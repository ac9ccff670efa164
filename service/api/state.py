"""The one object that serves, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from starlette.types import Scope

from service.api.auth import ApiKeys
from service.api.body import LARGE_BYTES, LargeBodies, max_body_bytes
from service.api.request_context import RequestTracker
from service.api.tensors import Tensors
from service.errors import BlankPicture, ModelUnavailable, PictureTooLarge
from service.inference.batcher import Batcher
from service.inference.card import Card
from service.inputs import json_errors
from service.inputs.decoding import Decoder, TakesLong
from service.inputs.image import Image
from service.inputs.numbers import NumberReader
from service.inputs.picture_files import takes_long
from service.inputs.pictures import QUICK_PIXELS, read_picture
from service.settings import Settings

if TYPE_CHECKING:
    from service.otel import Tracing

T = TypeVar("T")


@dataclass(slots=True)
class Service:
    """Everything that serves, made in the lifespan and kept on ``app.state.service``."""

    settings: Settings
    tracker: RequestTracker
    batcher: Batcher
    decoder: Decoder
    keys: ApiKeys | None  # None: predictions need no key
    tracing: Tracing | None  # None: no request is traced
    max_images: int = field(init=False)  # that one request may have
    max_body_bytes: int = field(init=False)  # of numbers
    large_bodies: LargeBodies = field(init=False)
    numbers: NumberReader = field(init=False)
    _large_numbers: NumberReader = field(init=False)  # the decoder's own
    tensors: Tensors = field(init=False)

    def __post_init__(self) -> None:
        """Work out what follows from the settings."""
        most = min(self.settings.max_images_per_request, self.settings.max_queue_size)
        self.max_images = most
        self.max_body_bytes = max_body_bytes(self.settings, self.card.shape)
        self.large_bodies = LargeBodies()
        self.numbers = NumberReader(self.card.shape, most)
        self._large_numbers = NumberReader(self.card.shape, most)
        self.tensors = Tensors(self.card, most)

    @property
    def card(self) -> Card:
        """The card of the model that serves; one that takes or gives something else never takes its place."""
        return self.batcher.model.card

    async def decode(self, call: Callable[[bytes], T], body: bytes) -> T:
        """Return what a function makes of a body: at once, or in a decoder's thread if that takes long.

        Raises:
            ServiceError: what the function or ``Decoder.run`` raises.
        """
        if len(body) <= json_errors.SMALL_BYTES:
            return call(body)
        return await self.decoder.run_long(call, body)

    async def read_numbers(self, media_type: bytes, body: bytes) -> Image:
        """Return the pixels of a body that is JSON or bytes; see ``service.inputs.numbers``."""
        if len(body) > LARGE_BYTES:
            return await self.decoder.run_long(partial(self._large_numbers.read, media_type), body)
        pixels = self.numbers.read_plain(media_type, body)
        return pixels if pixels is not None else await self.decode(self.numbers.read_exactly, body)

    def read_picture(self, data: bytes, /, *, quick: bool) -> Image:
        """Return the flat image in a picture file; see ``service.inputs.pictures``.

        One with nothing on it is an image of nothing, for a model that tells what is no member of any class.

        Raises:
            TakesLong: it was to be ``quick``, and is too large for that.
            ServiceError: what ``service.inputs.pictures`` raises.
        """
        card = self.card
        max_pixels = self.settings.max_picture_pixels
        if quick:
            max_pixels = min(max_pixels, QUICK_PIXELS)
            if takes_long(data):
                raise TakesLong
        try:
            return read_picture(data, max_pixels, card.shape, card.pictures)
        except BlankPicture:
            if not card.tells_outliers:
                raise
            return np.zeros(card.shape.size, np.float32)
        except PictureTooLarge:
            if quick:
                raise TakesLong from None
            raise

    def authorize(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Return if a request with these headers may predict.

        Raises:
            Unauthorized: keys are needed, and the headers have none that is known.
        """
        if self.keys is not None:
            self.keys.check(headers)

    def check_health(self) -> None:
        """Return if this process serves predictions, and goes on doing so.

        Raises:
            ModelUnavailable: it drains, the model's thread has died, or is too long at one batch.
        """
        batcher = self.batcher
        if self.tracker.draining:
            raise ModelUnavailable("the service is shutting down")
        if not batcher.alive or batcher.busy_seconds >= self.settings.stall_timeout_seconds:
            raise ModelUnavailable("the model is not running")


def service_of(scope: Scope) -> Service:
    """Return the service that a request has reached; uvicorn takes none before the lifespan has made it."""
    service: Service = scope["app"].state.service
    return service
