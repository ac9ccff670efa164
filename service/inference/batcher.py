"""Micro-batching without a timer.

While the model computes, requests wait in a bounded queue; when it is free, it takes all that wait, up to the
batch limit. A lone request runs at once; under load, batches grow by themselves.

The event loop owns all state, so nothing here needs a lock. Batches that are over soon (``inline_size``) run
in it from start to end. Others run in a thread that does one thing, the forward pass: each hand-over between
the two costs more than decoding a request. Were the event loop itself to hang in a batch, /healthz would be
silent, and the liveness probe would fail by that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import ModelUnavailable, QueueFull, QueueTimeout
from service.inference.batching import Batch, BatchModel, outcome, plan_batches
from service.inference.image_queue import ImageQueue
from service.inference.model_thread import ModelThread
from service.inference.pending import Abandoned, PendingImage, Reply
from service.inference.prediction import Prediction, predictions
from service.inputs.image import Image, in_range
from service.metrics import Metrics

logger = logging.getLogger(__name__)

# How often waiting requests are checked. A deadline is kept to within this, and for a request that waits
# longer than this it is worth finding out whether its client is still connected.
SWEEP_SECONDS = 0.05
LONE_SHARE = 16  # requests with many leave this part of the queue, a sixteenth, to images that come alone

THREAD_ENDED = "the model's thread has stopped; this replica needs a restart"

DONE = object()  # what a warm-up ends with


class Batcher:
    """Runs single images through a model, in batches made of whatever waits.

    Use it as ``async with Batcher(...) as batcher``: entering starts the thread and warms the model up,
    leaving stops it. To serve another model, warm it up and call ``serve``.
    """

    def __init__(
        self,
        model: BatchModel,
        metrics: Metrics,
        *,
        max_queue_size: int,
        queue_timeout_seconds: float,
    ) -> None:
        self._metrics = metrics
        self._max_queue_size = max_queue_size
        self._queue_timeout_seconds = queue_timeout_seconds
        self._waiting = ImageQueue()
        self._reserved = 0
        self._running: Batch | None = None
        self._start_scheduled = False
        self._sweep_scheduled = False
        self._thread = ModelThread()
        self._inference_mode = torch.inference_mode()  # of the event loop's thread
        self._loop: asyncio.AbstractEventLoop
        self.serve(model)

    async def __aenter__(self) -> Batcher:
        """Start the thread, and warm the model up in it."""
        self._loop = asyncio.get_running_loop()
        self._inference_mode.__enter__()
        self._thread.start()
        await self.warm_up(self.model)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for the batch in hand; requests that still wait get a 503."""
        for request in self._pending():
            request.fail(ModelUnavailable("the service is shutting down; try again"))
        self._waiting.clear()
        await self._thread.finish(self._queue_timeout_seconds)
        self._inference_mode.__exit__(None, None, None)

    @property
    def depth(self) -> int:
        """Requests that wait for the model."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether the model's thread runs."""
        return self._thread.alive

    @property
    def busy_seconds(self) -> float:
        """Seconds since the batch in hand was given to the model; 0 between batches."""
        return time.monotonic() - self._running.started if self._running else 0.0

    def serve(self, model: BatchModel) -> None:
        """Run batches on this model from the next one on."""
        self.model = model
        self._plan = plan_batches(model.batch_sizes)
        self._buffer = np.zeros((model.batch_sizes[-1], model.card.shape.size), np.float32)

    async def warm_up(self, model: BatchModel) -> None:
        """Get a model up to full speed, in the threads that will run it.

        The steps take turns with the batches, so that no request waits for all of them.
        """
        steps = model.warm_up(model.batch_sizes)
        while await self._thread.run(lambda: next(steps, DONE)) is not DONE:
            pass
        for _ in model.warm_up([size for size in model.batch_sizes if size <= model.inline_size]):
            await asyncio.sleep(0)

    def check_room(self, images: int = 1, spare: int = 0) -> None:
        """Refuse images that the queue has no room for beside what is to be left over.

        Raises:
            QueueFull: with those that wait and those that room is kept for, there would be more than
                ``max_queue_size``.
        """
        if len(self._waiting) + self._reserved + images + spare > self._max_queue_size:
            raise QueueFull(f"the queue has no room for {images} more now; try again in a second")

    @contextmanager
    def reserve(self, images: int) -> Iterator[None]:
        """Keep room for images while their request is read; leave it at once before they are submitted.

        Raises:
            QueueFull: as ``check_room`` does.
        """
        shares = images > 1 and (self._waiting or self._reserved)
        self.check_room(images, spare=self._max_queue_size // LONE_SHARE if shares else 0)
        self._reserved += images
        try:
            yield
        finally:
            self._reserved -= images

    def submit(
        self, image: Image, *, abandoned: Abandoned | None = None, draft: bool = False
    ) -> asyncio.Future[Prediction]:
        """Queue an image as ``enqueue`` does; the future resolves to its prediction."""
        reply: asyncio.Future[Prediction] = self._loop.create_future()
        self.enqueue(image, reply, abandoned, draft)
        return reply

    def enqueue(
        self, image: Image, reply: Reply, abandoned: Abandoned | None = None, draft: bool = False
    ) -> None:
        """Queue an image, flat, for this reply to get its prediction.

        ``abandoned`` is awaited if the image has to wait for long; when it returns, the client has gone and
        the place in the queue is free again. Of a ``draft``, class, confidence and pixels are not counted.

        Raises:
            QueueFull: ``max_queue_size`` images wait already.
            ModelUnavailable: the model's thread has died.

        The reply gets QueueTimeout after ``queue_timeout_seconds``, InvalidImage if a pixel is not a number
        in 0..1, or RequestAbandoned.
        """
        self.check_room()
        self._put(PendingImage(image, reply, time.monotonic(), abandoned, draft), alone=True)

    def _put(self, image: PendingImage, *, alone: bool) -> None:
        """Queue an image that there is room for."""
        if not self.alive:
            raise ModelUnavailable(THREAD_ENDED)
        self._waiting.put(image, alone=alone)
        if self._running is None and not self._start_scheduled:
            self._schedule_start()
        if not self._sweep_scheduled:
            self._sweep_scheduled = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def submit_all(
        self, images: Image, *, abandoned: Abandoned | None = None, draft: bool = False
    ) -> asyncio.Future[list[Prediction]]:
        """Queue images, shape (N, size), N at least 1, or none of them; resolves to their predictions.

        They share batches with those of other requests, of which those that come alone go before them. The
        rest is as ``enqueue`` has it.

        Raises:
            QueueFull: the queue does not have room for all of them.
        """
        self.check_room(len(images))
        now, last = time.monotonic(), len(images) - 1
        replies: list[asyncio.Future[Prediction]] = [self._loop.create_future() for _ in images]
        for place, (image, reply) in enumerate(zip(images, replies, strict=True)):
            # The last one is answered last: as long as any of them waits, it does.
            watched = abandoned if place == last else None
            self._put(PendingImage(image, reply, now, watched, draft), alone=last == 0)
        together = asyncio.gather(*replies)
        together.add_done_callback(lambda _: [reply.cancel() for reply in replies])
        return together

    def _schedule_start(self) -> None:
        # After the next poll of the sockets: all requests that have arrived by then share the batch.
        self._start_scheduled = True
        self._loop.call_soon(self._start)

    def _start(self) -> None:
        """Give the model all that wait, up to the batch limit."""
        self._start_scheduled = False
        count, size = self._plan[min(len(self._waiting), len(self._plan) - 1)]
        if count == 0:
            return
        requests = self._waiting.take(count)
        images = self._buffer[:count]
        # A double beyond float32 becomes infinite, and is refused below.
        with np.errstate(over="ignore", invalid="ignore"):
            np.concatenate([request.image for request in requests], out=images.reshape(-1), casting="unsafe")
        if not in_range(images):
            for row, request in zip(images, requests, strict=True):
                if request.has_bad_pixels():
                    row[:] = 0  # infinities would make NumPy warn wherever they are added up
        self._running = batch = Batch(requests, images, self.model, time.monotonic())
        # Rows beyond the batch hold older images; their answers are computed and dropped.
        padded = self._buffer[:size]
        if size <= batch.model.inline_size:
            self._finish(batch, outcome(batch.model, padded))
        else:
            self._thread.put(
                lambda: self._loop.call_soon_threadsafe(self._finish, batch, outcome(batch.model, padded))
            )

    def _finish(self, batch: Batch, logits: NDArray[np.float32] | Exception) -> None:
        """Hand out the answers of a batch."""
        seconds = time.monotonic() - batch.started
        if isinstance(logits, Exception):
            logger.error("a batch of %d failed", len(batch.requests), exc_info=logits)
            for request in batch.requests:
                request.fail(ModelUnavailable("the model failed on this batch; the log says why"))
            answers = []
        else:
            answers = self._answer(batch, predictions(logits[: len(batch.requests)], batch.model.card))
        # After the callbacks of the replies that are futures: answers are sent before metrics are counted.
        self._loop.call_soon(self._conclude, batch, answers, seconds)

    def _answer(self, batch: Batch, answers: list[Prediction]) -> list[tuple[int, Prediction]]:
        """Resolve the replies that are still waited for; return the answers to count, with their places."""
        given = []
        for place, (request, answer) in enumerate(zip(batch.requests, answers, strict=True)):
            if not request.reply.done():
                try:
                    request.reply.set_result(answer)
                except Exception:  # one reply's fault must not cost the others of its batch theirs
                    logger.exception("an answer could not be given")
                if not request.draft:
                    given.append((place, answer))
            if request.watcher is not None:
                request.watcher.cancel()
        return given

    def _conclude(self, batch: Batch, answers: list[tuple[int, Prediction]], seconds: float) -> None:
        """Count a batch, then give the model the next one."""
        card = batch.model.card
        mean_pixels: list[float] = (np.add.reduce(batch.images, axis=1) / batch.images.shape[1]).tolist()
        self._running = None
        try:
            self._metrics.batch(
                labels=[card.classes[answer.place] for _, answer in answers],
                confidences=[answer.confidence for _, answer in answers],
                mean_pixels=[mean_pixels[place] for place, _ in answers],
                waits=[batch.started - request.arrived for request in batch.requests],
                seconds=seconds,
                outliers=sum(bool(answer.outlier) for _, answer in answers) if card.tells_outliers else 0,
            )
        finally:  # whatever becomes of the metrics, the queue goes on
            self._schedule_start()

    def _sweep(self) -> None:
        """Check the requests that have waited for long; most are answered before."""
        now = time.monotonic()
        for request in self._pending():
            waited = now - request.arrived
            if waited < SWEEP_SECONDS:
                continue
            if not self.alive:
                request.fail(ModelUnavailable(THREAD_ENDED))
            elif waited >= self._queue_timeout_seconds:
                request.fail(QueueTimeout(f"no answer within {self._queue_timeout_seconds:g} s; try again"))
            else:
                request.watch_client()
        self._waiting.remove_answered()
        self._sweep_scheduled = bool(self._waiting or self._running)
        if self._sweep_scheduled:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _pending(self) -> list[PendingImage]:
        return [*(self._running.requests if self._running else ()), *self._waiting]
