"""Micro-batching without a timer.

One thread runs the model. While it is busy, requests wait in a bounded queue; when it is free, it gets all
that wait, up to the batch limit. A lone request runs at once; under load, batches grow by themselves.

The event loop owns every piece of state, so nothing here needs a lock. The thread does one thing, the
forward pass, and takes the interpreter lock twice for a whole batch: each hand-over between the two costs
more than decoding a request.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from service.archive import Card
from service.errors import ModelUnavailable, QueueFull, QueueTimeout, RequestAbandoned, ServiceError
from service.model import Prediction
from service.pixels import PIXELS, Image, check_pixels, in_range

logger = logging.getLogger(__name__)

Job = Callable[[], object]
Abandoned = Callable[[], Awaitable[object]]

# How often waiting requests are looked over. A deadline is kept to within this, and a request that waits
# longer than this is worth asking whether its client is still there.
SWEEP_SECONDS = 0.05
# How often a model that is to serve asks whether it may, while no batch starts.
SWITCH_SECONDS = 0.005

DONE = object()  # what a warm-up ends with


class BatchModel(Protocol):
    """What the batcher needs of a model."""

    card: Card

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, shape (N, 10), for images of shape (N, 784)."""

    def warm_up(self) -> Iterator[None]:
        """Run every batch size until it runs at full speed, a few milliseconds a step."""


class Observer(Protocol):
    """What the batcher tells of each batch."""

    def batch(
        self,
        digits: Sequence[int],
        confidences: Sequence[float],
        inks: Sequence[float],
        waits: Sequence[float],
        seconds: float,
    ) -> None:
        """Take note of a batch: each image's digit, confidence, mean pixel and wait, and the time for all."""


@dataclass(slots=True, eq=False)
class _Request:
    image: Image
    reply: asyncio.Future[Prediction]
    arrived: float
    abandoned: Abandoned | None
    watcher: asyncio.Task[None] | None = None

    def fail(self, error: ServiceError | RequestAbandoned) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


@dataclass(slots=True)
class _Batch:
    requests: list[_Request]
    images: NDArray[np.float32]
    model: BatchModel
    started: float


class Batcher:
    """Runs single images through a model, in batches made of whatever waits.

    Use it as ``async with Batcher(...) as batcher``: entering starts the thread and warms the model up
    in it, leaving stops it. Everything but the forward pass happens in the event loop.
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
        self._next: tuple[BatchModel, Callable[[], bool]] | None = None
        self._observer = observer
        self._max_queue_size = max_queue_size
        self._queue_timeout_seconds = queue_timeout_seconds
        self._plan = plan_batches(batch_sizes(max_batch_size))
        self._buffer = np.zeros((max_batch_size, PIXELS), np.float32)
        self._waiting: deque[_Request] = deque()
        self._running: _Batch | None = None
        self._start_scheduled = False
        self._sweep_scheduled = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._alive = False
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Batcher:
        """Start the thread, and warm the model up in it."""
        self._loop = asyncio.get_running_loop()
        self._alive = True
        self._thread.start()
        await self.warm_up(self._model)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the thread after the batch it runs; whoever still waits is told so."""
        for request in self._pending():
            request.fail(ModelUnavailable("the service is shutting down; try again"))
        self._waiting.clear()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, self._queue_timeout_seconds)

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
        return self._alive

    @property
    def busy_seconds(self) -> float:
        """Seconds since the batch in hand was given to the model; 0 between batches."""
        return time.monotonic() - self._running.started if self._running else 0.0

    async def warm_up(self, model: BatchModel) -> None:
        """Get a model up to full speed, in the thread that will run it.

        The steps take turns with the batches, so that nobody waits for all of them.
        """
        steps = model.warm_up()
        while await self._run_in_thread(lambda: next(steps, DONE)) is not DONE:
            pass

    async def install(self, model: BatchModel, *, when: Callable[[], bool]) -> None:
        """Let a warm model serve every batch that starts from the moment on when ``when`` says so."""
        self._next = model, when
        while not self._switched():  # noqa: ASYNC110 - what it waits for may be up to other processes
            await asyncio.sleep(SWITCH_SECONDS)

    def _switched(self) -> bool:
        """Change over to the next model if it is time, and return whether none is left."""
        if self._next is not None and self._next[1]():
            self._model, self._next = self._next[0], None
        return self._next is None

    async def _run_in_thread(self, step: Callable[[], object]) -> object:
        result: Future[object] = Future()

        def job() -> None:
            if result.set_running_or_notify_cancel():
                try:
                    result.set_result(step())
                except Exception as error:
                    result.set_exception(error)

        self._jobs.put(job)
        return await asyncio.wrap_future(result)

    def check_room(self) -> None:
        """Refuse while the queue is full: who asks first decodes nothing in vain.

        Raises:
            QueueFull: ``max_queue_size`` images wait already.
        """
        if len(self._waiting) >= self._max_queue_size:
            raise QueueFull(f"{self._max_queue_size} requests wait already; try again in a second")

    def submit(self, image: Image, *, abandoned: Abandoned | None = None) -> asyncio.Future[Prediction]:
        """Queue an image, shape (784,); the future resolves to its prediction.

        ``abandoned`` is awaited if the image has to wait for long; when it returns, nobody wants the
        answer any more and the place in the queue is given free.

        Raises:
            QueueFull: ``max_queue_size`` images wait already.
            ModelUnavailable: the model's thread has died.

        The future fails with QueueTimeout after ``queue_timeout_seconds``, with InvalidImage if a pixel is
        not a number in 0..1, or with RequestAbandoned.
        """
        self.check_room()
        if not self._alive:
            raise ModelUnavailable("the model's thread has stopped; this replica needs a restart")
        reply = self._loop.create_future()
        self._waiting.append(_Request(image, reply, time.monotonic(), abandoned))
        if self._running is None and not self._start_scheduled:
            self._schedule_start()
        if not self._sweep_scheduled:
            self._sweep_scheduled = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return reply

    def _schedule_start(self) -> None:
        # After the next look at the sockets: all who have sent something by then share the batch.
        self._start_scheduled = True
        self._loop.call_soon(self._start)

    def _start(self) -> None:
        """Give the model all that wait, up to the batch limit."""
        self._start_scheduled = False
        count, size = self._plan[min(len(self._waiting), len(self._plan) - 1)]
        if count == 0:
            return
        self._switched()
        requests = [self._waiting.popleft() for _ in range(count)]
        images = self._buffer[:count]
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is refused below
            for row, request in zip(images, requests, strict=True):
                row[:] = request.image
        if not in_range(images):
            for row, request in zip(images, requests, strict=True):
                if _refuse_bad_pixels(request):
                    row[:] = 0  # infinities would make NumPy complain wherever they are added up
        self._running = batch = _Batch(requests, images, self._model, time.monotonic())
        # Rows beyond the batch hold older images; their answers are computed and dropped.
        padded = self._buffer[:size]

        def job() -> None:
            try:
                outcome: NDArray[np.float32] | Exception = batch.model.logits(padded)
            except Exception as error:
                outcome = error
            self._loop.call_soon_threadsafe(self._finish, batch, outcome)

        self._jobs.put(job)

    def _finish(self, batch: _Batch, outcome: NDArray[np.float32] | Exception) -> None:
        """Hand out the answers of a batch."""
        seconds = time.monotonic() - batch.started
        if isinstance(outcome, Exception):
            logger.error("a batch of %d failed", len(batch.requests), exc_info=outcome)
            for request in batch.requests:
                request.fail(ModelUnavailable("the model failed on this batch; the log says why"))
            answers = []
        else:
            answers = self._answer(batch, softmax(outcome[: len(batch.requests)]))
        # Scheduled after the callbacks of the replies: answers are sent before the books are kept.
        self._loop.call_soon(self._conclude, batch, answers, seconds)

    def _answer(self, batch: _Batch, probabilities: NDArray[np.float32]) -> list[tuple[int, Prediction]]:
        """Resolve the replies that somebody still waits for; return those with their places in the batch."""
        digits: list[int] = probabilities.argmax(axis=1).tolist()
        confidences: list[float] = np.maximum.reduce(probabilities, axis=1).tolist()
        card = batch.model.card
        answers = []
        for place, request in enumerate(batch.requests):
            if not request.reply.done():
                answer = Prediction(digits[place], confidences[place], probabilities[place], card)
                request.reply.set_result(answer)
                answers.append((place, answer))
            if request.watcher is not None:
                request.watcher.cancel()
        return answers

    def _conclude(self, batch: _Batch, answers: list[tuple[int, Prediction]], seconds: float) -> None:
        """Take note of a batch, then give the model the next one."""
        inks: list[float] = (np.add.reduce(batch.images, axis=1) / PIXELS).tolist()
        self._running = None
        try:
            self._observer.batch(
                digits=[answer.digit for _, answer in answers],
                confidences=[answer.confidence for _, answer in answers],
                inks=[inks[place] for place, _ in answers],
                waits=[batch.started - request.arrived for request in batch.requests],
                seconds=seconds,
            )
        finally:  # whatever becomes of the books, the queue goes on
            self._schedule_start()

    def _sweep(self) -> None:
        """Look over the requests that have waited for long, oldest first; most never meet this."""
        now = time.monotonic()
        for request in self._pending():
            waited = now - request.arrived
            if waited < SWEEP_SECONDS:
                break
            if not self._alive:
                request.fail(ModelUnavailable("the model's thread has stopped; this replica needs a restart"))
            elif waited >= self._queue_timeout_seconds:
                request.fail(QueueTimeout(f"no answer within {self._queue_timeout_seconds:g} s; try again"))
            elif request.abandoned is not None and request.watcher is None:
                request.watcher = self._loop.create_task(_watch(request, request.abandoned))
        self._waiting = deque(request for request in self._waiting if not request.reply.done())
        self._sweep_scheduled = bool(self._waiting or self._running)
        if self._sweep_scheduled:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _work(self) -> None:
        """Run jobs until told to stop: the whole life of the model's thread."""
        try:
            with torch.inference_mode():
                while (job := self._jobs.get()) is not None:
                    job()
        except BaseException:  # nobody else would say so: Python lets a thread end without a word
            logger.critical("the model's thread has died; this process needs a restart", exc_info=True)
        finally:
            self._alive = False

    def _pending(self) -> list[_Request]:
        return [*(self._running.requests if self._running else ()), *self._waiting]


def batch_sizes(max_batch_size: int) -> tuple[int, ...]:
    """Return the batch sizes that are ever run: the powers of two, and the largest allowed."""
    powers = itertools.takewhile(lambda size: size < max_batch_size, (1 << n for n in itertools.count()))
    return (*powers, max_batch_size)


def plan_batches(sizes: Sequence[int]) -> list[tuple[int, int]]:
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


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits, shape (N, classes): exponentials that add up to 1 in each row."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def _refuse_bad_pixels(request: _Request) -> bool:
    try:
        check_pixels(request.image)
    except ServiceError as error:
        request.fail(error)
        return True
    return False


async def _watch(request: _Request, abandoned: Abandoned) -> None:
    await abandoned()
    request.fail(RequestAbandoned())
