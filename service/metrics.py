"""Every metric of the service, in one registry that is passed around.

Names and units follow Prometheus' conventions; buckets start below a millisecond, where this service works.

The client library's own counters and histograms take an observation at a time, each under a lock: for the
ten figures of one prediction that would cost as much as the prediction. What is counted per request or per
image is therefore kept in plain lists, and tallied with NumPy a few thousand at a time, or when scraped.
Everything here belongs to the event loop.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from http import HTTPStatus

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONFIDENCES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
MEAN_PIXELS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5)
PENDING_VALUES = 4096
MAX_LABELS = 100  # of classes; predictions of any other are counted together


class Metrics(Collector):
    """What is measured, and the few calls that measure it."""

    def __init__(self, dropped_lines: Callable[[], int] = int) -> None:
        self._dropped_lines = dropped_lines
        self.registry = CollectorRegistry()
        self.in_flight = Gauge("http_requests_in_flight", "Requests being worked on.", registry=self.registry)
        self.queue_depth = Gauge("inference_queue_depth", "Images in the queue.", registry=self.registry)
        self.rejected: Counter[str] = Counter()  # by the slug of their problem type
        self._build = Info("rust_ml_api_build", "What this process was built from.", registry=self.registry)
        self._model = Info("model", "The weights that serve.", registry=self.registry)
        self._max_batch_size = Gauge(
            "inference_max_batch_size", "Images in one forward pass, at most.", registry=self.registry
        )
        self._threads = Gauge("inference_threads", "Threads that compute a batch.", registry=self.registry)
        # A counter that starts at 0 shows its first increase.
        self.reloads: Counter[str] = Counter(success=0, failure=0)
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._request_seconds: defaultdict[str, _Tally] = defaultdict(lambda: _Tally(SECONDS))
        self._target = "label"
        self._outliers = 0
        self._classes: Sequence[str | int] = ()
        self._predictions: Counter[str | int] = Counter()
        self._batch_size = _Tally(BATCH_SIZES)
        self.batches = _Tally(SECONDS)
        self.waits = _Tally(SECONDS)
        self.last_batch_at = 0.0  # seconds since the epoch
        self._confidence = _Tally(CONFIDENCES)
        self._mean_pixel = _Tally(MEAN_PIXELS)
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def built_from(self, *, version: str, python: str, torch: str) -> None:
        """Say which version of the service runs, and on which versions of Python and PyTorch."""
        self._build.info({"version": version, "python": python, "torch": torch})

    def serving(self, name: str, version: str, target: str, classes: Sequence[str | int]) -> None:
        """Say which weights serve from now on, and which classes, called so, they tell apart."""
        self._model.info({"name": name, "version": version})
        self._target, self._classes = target, classes

    def computing(self, max_batch_size: int, threads: int) -> None:
        """Say how large a batch may be from now on, and how many threads compute it."""
        self._max_batch_size.set(max_batch_size)
        self._threads.set(threads)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request, and the time from its head to the end of its answer."""
        self._requests[route, method, status] += 1
        self._request_seconds[route].add_one(seconds)

    def batch(
        self,
        labels: Sequence[str | int],
        confidences: Sequence[float],
        mean_pixels: Sequence[float],
        waits: Sequence[float],
        seconds: float,
        outliers: int = 0,
    ) -> None:
        """Count a batch: each image's class, confidence, mean pixel and wait, and the time to compute all.

        So many of its images are outliers.
        """
        self._outliers += outliers
        self._predictions.update(labels)
        self._confidence.add(confidences)
        self._mean_pixel.add(mean_pixels)
        self.waits.add(waits)
        self._batch_size.add_one(len(waits))
        self.batches.add_one(seconds)
        self.last_batch_at = time.time()

    @property
    def answered_images(self) -> int:
        """How many images have got a prediction."""
        return self._predictions.total()

    def answered(self, routes: Collection[str]) -> tuple[int, int, float]:
        """Return how many requests to some routes succeeded and failed, and the seconds that all took."""
        counts = [
            (key[2] < HTTPStatus.BAD_REQUEST, n) for key, n in self._requests.items() if key[0] in routes
        ]
        seconds = sum(self._request_seconds[route].sum for route in routes if route in self._request_seconds)
        return sum(n for ok, n in counts if ok), sum(n for ok, n in counts if not ok), seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the tallied metrics, as the client library asks of a collector."""
        requests = CounterMetricFamily(
            "http_requests", "Requests answered.", labels=["route", "method", "status"]
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric([route, method, str(status)], count)
        yield requests
        # The client library's counters would add a series with the time of creation for each of these.
        for name, help_, by, counts in (
            ("requests_rejected", "Requests refused, by problem type.", "reason", self.rejected),
            ("model_reloads", "Attempts to load new weights.", "result", self.reloads),
        ):
            counter = CounterMetricFamily(name, help_, labels=[by])
            for value, count in counts.items():
                counter.add_metric([value], count)
            yield counter
        yield CounterMetricFamily(
            "log_lines_dropped", "Log lines that were not written.", value=self._dropped_lines()
        )
        duration = "Time from a request's head to the end of its answer."
        request_seconds = HistogramMetricFamily("http_request_duration_seconds", duration, labels=["route"])
        for route, tally in self._request_seconds.items():
            request_seconds.add_metric([route], *tally.totals())
        yield request_seconds
        predictions = CounterMetricFamily("predictions", "Predictions by class.", labels=[self._target])
        for label in self._classes[:MAX_LABELS]:
            predictions.add_metric([str(label)], self._predictions[label])
        if len(self._classes) > MAX_LABELS:
            others = sum(self._predictions[label] for label in self._classes[MAX_LABELS:])
            predictions.add_metric(["other"], others)
        yield predictions
        unlike = "Images unlike those that the model was trained on, if it can tell."
        yield CounterMetricFamily("outliers", unlike, value=self._outliers)
        for name, help_, tally in (
            ("inference_batch_size", "Images in one forward pass.", self._batch_size),
            ("inference_duration_seconds", "Time to compute one batch.", self.batches),
            ("inference_queue_wait_seconds", "Time from arrival to the batch's start.", self.waits),
            ("prediction_confidence", "Probability of the predicted class.", self._confidence),
            ("input_mean_pixel", "Mean pixel of an image, 0..1.", self._mean_pixel),
        ):
            histogram = HistogramMetricFamily(name, help_)
            histogram.add_metric([], *tally.totals())
            yield histogram


class _Tally:
    """A histogram that sorts its values into buckets many at a time."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = np.array(bounds, np.float64)
        self._labels = [*map(str, self._bounds.tolist()), "+Inf"]
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0
        self._pending: list[float] = []

    def add_one(self, value: float) -> None:
        self._pending.append(value)
        if len(self._pending) >= PENDING_VALUES:
            self._sort_in()

    def add(self, values: Iterable[float]) -> None:
        self._pending.extend(values)
        if len(self._pending) >= PENDING_VALUES:
            self._sort_in()

    @property
    def count(self) -> int:
        """How many values there are."""
        self._sort_in()
        return int(self._counts.sum())

    @property
    def sum(self) -> float:
        """What they add up to."""
        self._sort_in()
        return self._sum

    def totals(self) -> tuple[list[tuple[str, float]], float]:
        """Return the cumulative count at each bucket's upper bound, and the sum of all values."""
        self._sort_in()
        return list(zip(self._labels, self._counts.cumsum().tolist(), strict=True)), self._sum

    def _sort_in(self) -> None:
        values = np.array(self._pending, np.float64)
        self._pending.clear()
        # side="left" puts a value equal to a bound below it: Prometheus' `le` is "less or equal".
        buckets = np.searchsorted(self._bounds, values, side="left")
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._sum += float(values.sum())
