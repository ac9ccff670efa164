"""An image in the batcher's queue, and the reply that its request waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from service.errors import InvalidImage, RequestAbandoned, ServiceError
from service.inference.prediction import Prediction
from service.inputs.image import Image, check_pixels

if TYPE_CHECKING:
    from service.otel import Trace

# Returns once the client of a request has gone.
Abandoned = Callable[[], Awaitable[object]]


class Reply(Protocol):
    """What takes the answer: a future, or what can do without one."""

    def done(self) -> bool:
        """Return whether it has an answer, or needs none any more."""

    def set_result(self, prediction: Prediction, /) -> None:
        """Take the prediction."""

    def set_exception(self, error: ServiceError | RequestAbandoned, /) -> None:
        """Take the reason why there is none."""


@dataclass(slots=True, eq=False)
class PendingImage:
    """An image, flat, from its arrival to its prediction."""

    image: Image
    reply: Reply
    arrived: float
    abandoned: Abandoned | None
    draft: bool = False  # its answer is no figure for the metrics
    watcher: asyncio.Task[None] | None = None
    trace: Trace | None = None

    def fail(self, error: ServiceError | RequestAbandoned) -> None:
        """Answer with an error, unless there is an answer already."""
        if not self.reply.done():
            self.reply.set_exception(error)

    def has_bad_pixels(self) -> bool:
        """Return whether a pixel is not a number in 0..1, and refuse the image if one is."""
        try:
            check_pixels(self.image)
        except InvalidImage as error:
            self.fail(error)
            return True
        return False

    def watch_client(self) -> None:
        """Begin to wait for the client to go, and then give its place in the queue free."""
        if self.abandoned is not None and self.watcher is None:
            self.watcher = asyncio.create_task(self._watch(self.abandoned))

    async def _watch(self, abandoned: Abandoned) -> None:
        await abandoned()
        self.fail(RequestAbandoned())
