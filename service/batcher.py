"""Micro-batching without a timer.

One thread runs the model. While it is busy, requests wait in a bounded queue; when it is free, it takes
all that wait, up to the batch limit. A lone request runs at once; under load, batches grow by themselves.

The event loop owns every reply; the thread only takes requests and hands back outcomes, one wake-up for a
whole batch in either direction.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import InvalidImage, ModelUnavailable, QueueFull, QueueTimeout, RequestAbandoned
from service.model import Card, Prediction
from service.pixels import PIXELS, Image, check_pixels, in_range

logger = logging.getLogger(__name__)

Outcome = Prediction | Exception
Abandoned = Callable[[], Awaitable[object]]

# How often waiting requests are looked over. A deadline is kept to within this, and a request that waits
# longer than this is worth asking whether its client is still there.
SWEEP_SECONDS = 0.05


class BatchModel(Protocol):
    """What the batcher needs of a model."""

    card: Card

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities, shape (N, 10), for images of shape (N, 784)."""

    def warm_up(self) -> None:
        """Run every batch size until it runs at full speed."""


class Observer(Protocol):
    """What the batcher tells of each batch, from the model's thread."""

    def batch(
        self,
        images: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        waits: list[float],
        seconds: float,
    ) -> None:
        """Take note of a batch: images (N, 784), answers (N, 10), seconds each waited, seconds to compute."""


@dataclass(slots=True, eq=False)
class _Request:
    image: Image
    reply: asyncio.Future[Prediction]
    arrived: float
    abandoned: Abandoned | None
    watcher: asyncio.Task[None] | None = None


class Batcher:
    """Runs single images through a model, in batches made of whatever waits.

    Use it as ``async with Batcher(...) as batcher``: entering starts the thread and warms the model up
    in it, leaving stops it.
    """

    def __init__(
        self,
        model: BatchModel,
        observer: Observer,
        *,
        max_batch_size: int,
        max_queue_size: int,
        queue_timeout_seconds: float,
    ) -> None:
        self._model = model
        self._observer = observer
        self._max_queue_size = max_queue_size
        self._queue_timeout_seconds = queue_timeout_seconds
        self._plan = _plan(batch_sizes(max_batch_size))
        self._waiting: deque[_Request] = deque()
        self._running: list[_Request] = []
        self._running_since = 0.0
        self._run_size = 0
        # Guards taking from the queue against the sweep that removes from it.
        self._taking = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._woken = False
        self._sweeping = False
        self._buffer = np.zeros((max_batch_size, PIXELS), np.float32)
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Batcher:
        """Start the thread, and warm the model up in it."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        await self.install(self._model)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the thread after the batch it runs; whoever still waits is told so."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, self._queue_timeout_seconds)
        for request in (*self._running, *self._waiting):
            _fail(request, ModelUnavailable("the service is shutting down; ask another replica"))
        self._waiting.clear()

    @property
    def model(self) -> BatchModel:
        """The model that the next batch will run on."""
        return self._model

    @property
    def depth(self) -> int:
        """Requests that wait for the model."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether the model's thread runs."""
        return self._thread.is_alive()

    @property
    def stalled_seconds(self) -> float:
        """Seconds that the batch in hand has been running; 0 between batches."""
        since = self._running_since
        return time.monotonic() - since if since else 0.0

    async def install(self, model: BatchModel) -> None:
        """Warm a model up in the thread that will run it, then let it serve every batch from then on."""
        installed: Future[None] = Future()

        def job() -> None:
            try:
                model.warm_up()
                self._model = model
            except Exception as error:
                installed.set_exception(error)
            else:
                installed.set_result(None)

        self._jobs.put(job)
        await asyncio.wrap_future(installed)

    def submit(self, image: Image, *, abandoned: Abandoned | None = None) -> asyncio.Future[Prediction]:
        """Queue an image, shape (784,); the future resolves to its prediction.

        ``abandoned`` is awaited if the image has to wait for long; when it returns, nobody wants the
        answer any more and the place in the queue is given free.

        Raises:
            QueueFull: ``max_queue_size`` images wait already.
            ModelUnavailable: the model's thread has died.

        The future fails with QueueTimeout after ``queue_timeout_seconds``, or with InvalidImage if a
        pixel is not a number in 0..1.
        """
        if len(self._waiting) >= self._max_queue_size:
            raise QueueFull(f"{self._max_queue_size} requests wait already; try again in a second")
        if not self._thread.is_alive():
            raise ModelUnavailable("the model's thread has stopped; this replica needs a restart")
        reply = self._loop.create_future()
        self._waiting.append(_Request(image, reply, time.monotonic(), abandoned))
        if not self._woken:
            # The thread wakes at the end of this turn of the loop: all who arrive in it share a batch.
            self._woken = True
            self._loop.call_soon(self._jobs.put, self._drain)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return reply

    # In the event loop

    def _deliver(self, batch: list[_Request], outcomes: list[Outcome]) -> None:
        for request, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                _fail(request, outcome)
            elif not request.reply.done():
                request.reply.set_result(outcome)
            if request.watcher is not None:
                request.watcher.cancel()

    def _sweep(self) -> None:
        """Look over the requests that have waited for long, oldest first; most never meet this."""
        now = time.monotonic()
        alive = self._thread.is_alive()
        for request in (*self._running, *self._waiting):
            waited = now - request.arrived
            if not alive:
                _fail(
                    request, ModelUnavailable("the model's thread has stopped; this replica needs a restart")
                )
            elif waited >= self._queue_timeout_seconds:
                _fail(request, QueueTimeout(f"no answer within {self._queue_timeout_seconds:g} s; try again"))
            elif waited < SWEEP_SECONDS:
                break
            elif request.abandoned is not None and request.watcher is None:
                request.watcher = self._loop.create_task(_watch(request, request.abandoned))
        with self._taking:
            self._waiting = deque(request for request in self._waiting if not request.reply.done())
        self._sweeping = bool(self._waiting or self._running)
        if self._sweeping:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    # In the model's thread

    def _work(self) -> None:
        with torch.inference_mode():
            while (job := self._jobs.get()) is not None:
                job()

    def _drain(self) -> None:
        # Cleared before the queue is read: whoever comes later wakes the thread again.
        self._woken = False
        while batch := self._take():
            self._loop.call_soon_threadsafe(self._deliver, batch, self._answer(batch))

    def _take(self) -> list[_Request]:
        with self._taking:
            count, self._run_size = self._plan[min(len(self._waiting), len(self._plan) - 1)]
            self._running = [self._waiting.popleft() for _ in range(count)]
            self._running_since = time.monotonic() if count else 0.0
            return self._running

    def _answer(self, batch: list[_Request]) -> list[Outcome]:
        try:
            return self._predict(batch)
        except Exception:
            logger.exception("a batch of %d failed", len(batch))
            return [ModelUnavailable("the model failed on this batch; the log says why") for _ in batch]

    def _predict(self, batch: list[_Request]) -> list[Outcome]:
        started, model = self._running_since, self._model
        images = self._buffer[: len(batch)]
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is refused below
            for row, request in zip(images, batch, strict=True):
                row[:] = request.image
        refusals = [None] * len(batch) if in_range(images) else [_refusal(request.image) for request in batch]
        # Rows beyond the batch hold older images; their answers are computed and dropped.
        padded = self._buffer[: self._run_size]
        probabilities = model.probabilities(padded)[: len(batch)]
        digits: list[int] = probabilities.argmax(axis=1).tolist()
        confidences: list[float] = probabilities.max(axis=1).tolist()
        seconds = time.monotonic() - started
        accepted = [refusal is None for refusal in refusals]
        self._observer.batch(
            images[accepted], probabilities[accepted], [started - r.arrived for r in batch], seconds
        )
        return [
            refusal or Prediction(digit, confidence, row, model.card)
            for refusal, digit, confidence, row in zip(
                refusals, digits, confidences, probabilities, strict=True
            )
        ]


def batch_sizes(max_batch_size: int) -> tuple[int, ...]:
    """Return the batch sizes that are ever run: the powers of two, and the largest allowed."""
    powers = itertools.takewhile(lambda size: size < max_batch_size, (1 << n for n in itertools.count()))
    return (*powers, max_batch_size)


def _plan(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return, for each number of waiting requests, how many to take and the batch size to run them in.

    Padding up to the next size is worth it for a quarter of the batch at most. Otherwise a full batch of the
    size below goes first, and the rest share the next one with whoever has come by then.
    """
    plan = [(0, 0)]
    for smaller, size in zip((0, *sizes), sizes, strict=False):
        for waiting in range(smaller + 1, size + 1):
            pad = waiting * 4 >= size * 3
            plan.append((waiting, size) if pad else (smaller, smaller))
    return plan


def _refusal(image: Image) -> InvalidImage | None:
    try:
        check_pixels(image)
    except InvalidImage as error:
        return error
    return None


def _fail(request: _Request, error: Exception) -> None:
    if not request.reply.done():
        request.reply.set_exception(error)


async def _watch(request: _Request, abandoned: Abandoned) -> None:
    await abandoned()
    _fail(request, RequestAbandoned())
