"""The one object that serves, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import Scope

from service.api.auth import ApiKeys
from service.api.request_context import RequestTracker
from service.errors import ModelUnavailable
from service.inference.batcher import Batcher
from service.inputs.numbers import NumberReader
from service.inputs.pictures import PictureReader
from service.settings import Settings


@dataclass(slots=True)
class Service:
    """Everything that serves, made in the lifespan and kept on ``app.state.service``."""

    settings: Settings
    tracker: RequestTracker
    batcher: Batcher
    pictures: PictureReader
    keys: ApiKeys | None  # None: predictions need no key
    max_images: int = field(init=False)  # that one request may have
    numbers: NumberReader = field(init=False)

    def __post_init__(self) -> None:
        """Work out what follows from the settings."""
        most = min(self.settings.max_images_per_request, self.settings.max_queue_size)
        self.max_images, self.numbers = most, NumberReader(most)

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
