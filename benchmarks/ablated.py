"""The service without one of its pieces: ``python -m benchmarks.ablated PIECE``.

Each piece is replaced by what a library gives, or by nothing, before the service starts; the service itself
knows nothing of it. ``python -m benchmarks --ablations`` measures all of them beside the service as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
from prometheus_client import Counter, Histogram

import service.__main__ as program
from service import metrics
from service.api import app
from service.inference import batcher, loading, model
from service.inference.torchscript import Kernels
from service.inputs import numbers
from service.server import protocol, throttle

Patch = Callable[[], None]


def general_path() -> None:
    """Send every request through uvicorn's scope and task, and Starlette."""
    protocol.find_media_type = lambda *_: None


def no_throttle() -> None:
    """Read every refused connection again at once."""
    throttle.Throttle.count_refusal = lambda _: False  # type: ignore[method-assign]


def no_fusion() -> None:
    """Let TorchScript run its graph unfused."""
    model.suitable_kernels = lambda _: [Kernels.PLAIN]


def no_inline() -> None:
    """Run every batch in the model's thread."""
    loading.INLINE_SECONDS = loading.INLINE_SECONDS_BESIDE_THREAD = 0


def orjson_reader() -> None:
    """Read JSON with orjson, and make an array of the lists."""

    def read(_: Any, body: bytes) -> Any:
        document = orjson.loads(body)
        if "image" in document:
            return np.array(document["image"], np.float64).reshape(-1)
        return np.array(document["images"], np.float32).reshape(-1, 784)

    numbers.NumberReader._read_plain = read  # type: ignore[method-assign]


def exact_reader() -> None:
    """Read JSON with the standard library, as the service does where something is wrong."""
    numbers.NumberReader._read_plain = lambda *_: None  # type: ignore[method-assign]


def client_library_metrics() -> None:
    """Count each request and image with the counters and histograms of prometheus_client."""

    class Metrics(metrics.Metrics):
        def __init__(self, dropped_lines: Callable[[], int]) -> None:
            super().__init__(dropped_lines)
            seconds, registry = metrics.SECONDS, self.registry
            self._a = Counter("a_requests", "", ["route", "method", "status"], registry=registry)
            self._b = Histogram("a_seconds", "", ["route"], buckets=seconds, registry=registry)
            self._c = Counter("a_predictions", "", ["digit"], registry=registry)
            self._d = Histogram("a_batch_size", "", buckets=metrics.BATCH_SIZES, registry=registry)
            self._e = Histogram("a_batch_seconds", "", buckets=seconds, registry=registry)
            self._f = Histogram("a_wait_seconds", "", buckets=seconds, registry=registry)
            self._g = Histogram("a_confidence", "", buckets=metrics.CONFIDENCES, registry=registry)
            self._h = Histogram("a_mean_pixel", "", buckets=metrics.MEAN_PIXELS, registry=registry)
            self._i = Counter("a_outliers", "", registry=registry)

        def request(self, route: str, method: str, status: int, seconds: float) -> None:
            self._a.labels(route, method, str(status)).inc()
            self._b.labels(route).observe(seconds)

        def batch(
            self,
            labels: Sequence[str | int],
            confidences: Sequence[float],
            mean_pixels: Sequence[float],
            waits: Sequence[float],
            seconds: float,
            outliers: int = 0,
        ) -> None:
            for label, confidence, mean_pixel in zip(labels, confidences, mean_pixels, strict=True):
                self._c.labels(str(label)).inc()
                self._g.observe(confidence)
                self._h.observe(mean_pixel)
            self._i.inc(outliers)
            for wait in waits:
                self._f.observe(wait)
            self._d.observe(len(waits))
            self._e.observe(seconds)

    app.Metrics = Metrics  # type: ignore[misc]


def no_poll() -> None:
    """Start a batch at once, without another poll of the sockets."""
    batcher.Batcher._schedule_start = batcher.Batcher._start  # type: ignore[method-assign]


PIECES: dict[str, tuple[str, Patch]] = {
    "fast-path": ("the fast path", general_path),
    "throttle": ("the throttle on refusals", no_throttle),
    "fusion": ("oneDNN's graph fusion", no_fusion),
    "inline": ("short batches in the event loop", no_inline),
    "json": ("simdjson: orjson and numpy.array instead", orjson_reader),
    "json-exact": ("simdjson: the standard library's json instead", exact_reader),
    "metrics": ("tallied metrics: prometheus_client's own instead", client_library_metrics),
    "poll": ("another poll of the sockets before a batch", no_poll),
}


def main() -> None:
    """Start the service without the piece that the command line names."""
    _, patch = PIECES[sys.argv.pop()]
    patch()
    program.main()


if __name__ == "__main__":
    main()
