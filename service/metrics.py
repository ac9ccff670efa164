"""Every metric of the service, in one registry that is passed around.

Names and units follow Prometheus' conventions; buckets start below a millisecond, where this service works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONFIDENCES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
INKS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5)


class Metrics:
    """What is measured, and the few calls that measure it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "http_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests being worked on.", registry=registry)
        self.queue_depth = Gauge(
            "inference_queue_depth", "Requests that wait for the model.", registry=registry
        )
        self.rejected = Counter(
            "requests_rejected", "Requests refused, by problem type.", ["reason"], registry=registry
        )
        self.model = Info("model", "The weights that serve.", registry=registry)
        self.reloads = Counter(
            "model_reloads", "Attempts to load new weights.", ["result"], registry=registry
        )
        self._batches = _Batches()
        registry.register(self._batches)

    def batch(
        self,
        images: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        waits: list[float],
        seconds: float,
    ) -> None:
        """Take note of a batch: images (N, 784), answers (N, 10), seconds each waited, seconds to compute."""
        self._batches.add(images, probabilities, waits, seconds)


class _Batches(Collector):
    """Figures of whole batches, counted with one NumPy call each.

    The client library's own histograms count one observation at a time, under a lock: per request that
    would cost as much as encoding the answer. Only the model's thread writes here.
    """

    def __init__(self) -> None:
        self._size = _Histogram("inference_batch_size", "Images in one forward pass.", BATCH_SIZES)
        self._seconds = _Histogram("inference_duration_seconds", "Time to compute one batch.", SECONDS)
        self._wait = _Histogram(
            "inference_queue_wait_seconds",
            "Time from a request's arrival to the start of its batch.",
            SECONDS,
        )
        self._confidence = _Histogram(
            "prediction_confidence", "Probability of the predicted digit.", CONFIDENCES
        )
        self._ink = _Histogram("input_mean_ink", "Mean pixel of an image, 0..1.", INKS)
        self._digits = np.zeros(10, np.int64)

    def add(
        self,
        images: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        waits: list[float],
        seconds: float,
    ) -> None:
        self._size.add([len(waits)])
        self._seconds.add([seconds])
        self._wait.add(waits)
        self._confidence.add(probabilities.max(axis=1))
        self._ink.add(images.mean(axis=1))
        self._digits += np.bincount(probabilities.argmax(axis=1), minlength=10)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as the client library asks of a collector."""
        predictions = CounterMetricFamily("predictions", "Predictions by digit.", labels=["digit"])
        for digit, count in enumerate(self._digits.tolist()):
            predictions.add_metric([str(digit)], count)
        yield predictions
        for histogram in (self._size, self._seconds, self._wait, self._confidence, self._ink):
            yield histogram.collect()


class _Histogram:
    def __init__(self, name: str, help_: str, bounds: Sequence[float]) -> None:
        self._name, self._help, self._bounds = name, help_, np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def add(self, values: ArrayLike) -> None:
        # side="left" puts a value equal to a bound below it: Prometheus' `le` is "less or equal".
        places = np.searchsorted(self._bounds, values, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(np.sum(values))

    def collect(self) -> Metric:
        family = HistogramMetricFamily(self._name, self._help)
        bounds: Iterable[str] = [*map(str, self._bounds.tolist()), "+Inf"]
        family.add_metric([], list(zip(bounds, self._counts.cumsum().tolist(), strict=True)), self._sum)
        return family
