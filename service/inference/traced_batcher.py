"""A batcher that records the queue and the batches of traced requests as spans."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.inference.batcher import Batcher
from service.inference.batching import Batch
from service.inference.pending import PendingImage
from service.tracing import current_trace

if TYPE_CHECKING:
    from service.otel import Trace, Tracing


class TracedBatcher(Batcher):
    """Does what a Batcher does; spans are made once the answers of their batch have been given."""

    def __init__(self, *args: Any, tracing: Tracing, **options: Any) -> None:
        """Take a Batcher's own arguments, and what records the spans."""
        super().__init__(*args, **options)
        self._tracing = tracing
        self._epoch = 0  # of the monotonic clock, when the last traced batch began

    def _put(self, image: PendingImage, *, alone: bool) -> None:
        super()._put(image, alone=alone)
        image.trace = current_trace.get()
        if image.trace is not None:
            image.trace.begin_queue()

    def _start(self) -> None:
        super()._start()
        traces = self._running and images_by_trace(self._running)
        if self._running and traces:
            self._epoch = time.time_ns() - time.monotonic_ns()
            for trace in traces:
                trace.end_queue(self._as_epoch(self._running.started))

    def _finish(self, batch: Batch, logits: NDArray[np.float32] | Exception) -> None:
        ended = time.time_ns()
        super()._finish(batch, logits)
        traces = images_by_trace(batch)
        if traces:
            error = logits if isinstance(logits, Exception) else None
            self._loop.call_soon(self._record, batch, traces, ended, error)

    def _record(self, batch: Batch, traces: Counter[Trace], ended: int, error: Exception | None) -> None:
        card = batch.model.card
        attributes: dict[str, str | int] = {
            "inference.batch_size": len(batch.requests),
            "model.name": card.name,
            "model.version": card.version,
        }
        self._tracing.record_batch(traces, self._as_epoch(batch.started), ended, attributes, error)

    def _as_epoch(self, moment: float) -> int:
        """Return a time of the monotonic clock in nanoseconds since the epoch."""
        return int(moment * 1e9) + self._epoch


def images_by_trace(batch: Batch) -> Counter[Trace]:
    """Return the traced requests of a batch, each with the number of its images."""
    return Counter([request.trace for request in batch.requests if request.trace is not None])
