"""What every request gets, whichever path it takes: an id, headers of its answer, metrics and a log line."""

from __future__ import annotations

import itertools
import logging
import random
import secrets
import time
from collections.abc import Iterable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.api import problems
from service.errors import OutOfMemory, ServiceError
from service.metrics import Metrics
from service.tracing import TRACEPARENT

logger = logging.getLogger(__name__)

Header = tuple[bytes, bytes]

MAX_REQUEST_ID_BYTES = 128
CLOSE: Header = (b"connection", b"close")


class RequestTracker:
    """Counts the requests of one application, and knows whether it is draining.

    An ``X-Request-ID`` that the client sends is kept if it is short and printable, so that one id follows a
    request through every service; so is a W3C ``traceparent``.
    """

    def __init__(self, *, metrics: Metrics, replica: str, access_log_sample: float = 0.0) -> None:
        self.metrics = metrics
        self.replica = replica
        self.access_log_sample = access_log_sample
        self.headers: list[Header] = [
            (b"x-served-by", replica.encode("latin-1", "replace")),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.header_lines = header_lines(self.headers)
        self.in_flight = 0
        self.draining = False  # from SIGTERM on: every answer is its connection's last
        self.last_served = 0.0  # while draining: when the last answer but a 503 was given
        self._process = secrets.token_hex(8).encode()
        self._count = itertools.count()
        metrics.in_flight.set_function(lambda: self.in_flight)

    def identify(self, headers: Iterable[Header]) -> tuple[bytes, bytes]:
        """Return a request's id, or one that no other has, and its trace, empty if it has none."""
        request_id = traceparent = b""
        for name, value in headers:
            if name == b"x-request-id":
                short = 0 < len(value) <= MAX_REQUEST_ID_BYTES
                if short and value.isascii() and value.decode().isprintable():
                    request_id = bytes(value)
            elif name == b"traceparent" and TRACEPARENT.fullmatch(value):
                traceparent = bytes(value)
        # A random number for the process and a count within it: as unique as 16 random bytes, for a third
        # of the time.
        return request_id or b"%s%016x" % (self._process, next(self._count)), traceparent


class RequestContext:
    """One request between its head and the end of its answer."""

    __slots__ = ("_slug", "_started", "_tracker", "request_id", "traceparent")

    def __init__(self, tracker: RequestTracker, headers: Iterable[Header]) -> None:
        self._tracker = tracker
        self._started = time.perf_counter()
        self._slug = ""  # of the problem that the answer is, if it is one
        self.request_id, self.traceparent = tracker.identify(headers)
        tracker.in_flight += 1

    @property
    def headers(self) -> list[Header]:
        """What the answer says of its request, and of the replica that gave it."""
        headers = [(b"x-request-id", self.request_id), *self._tracker.headers]
        return [*headers, (b"traceparent", self.traceparent)] if self.traceparent else headers

    @property
    def header_lines(self) -> bytes:
        """The same as lines; nearly all of them are ready."""
        if self.traceparent:
            return header_lines(self.headers)
        return b"x-request-id: %s\r\n%s" % (self.request_id, self._tracker.header_lines)

    def withdraw(self) -> None:
        """Forget the request: another context counts it."""
        self._tracker.in_flight -= 1

    def finish(self, route: str, method: str, status: int) -> None:
        """Count the request as answered."""
        tracker = self._tracker
        tracker.in_flight -= 1
        now = time.perf_counter()
        seconds = now - self._started
        if tracker.draining and status != HTTPStatus.SERVICE_UNAVAILABLE:
            tracker.last_served = now
        tracker.metrics.request(route, method, status, seconds)
        sample = tracker.access_log_sample
        # Not for security: it only decides which requests are logged.
        if sample and random.random() < sample:  # noqa: S311 # nosec B311
            fields = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
            fields |= {"problem": self._slug} if self._slug else {}
            logger.info("%s %s %d", method, route, status, extra=fields | self._names())

    def error_response(self, path: str, method: str, error: Exception) -> Response:
        """Return the answer to an error: a refusal, or a fault of our own that the log explains."""
        if isinstance(error, MemoryError):
            error = OutOfMemory("there is not enough memory for this request now; try again in a second")
        if isinstance(error, ServiceError):
            self._slug = error.slug
            self._tracker.metrics.rejected[error.slug] += 1
            response = problems.problem(error)
        elif isinstance(error, HTTPException):
            response = problems.unrouted(path, method, error)
        else:
            logger.error("%s %s failed", method, path, exc_info=error, extra=self._names())
            response = problems.internal_error(self.request_id.decode())
        return problems.in_protocol_of(path, response)

    def _names(self) -> dict[str, str]:
        """What finds this request in the logs of other services."""
        names = {"request_id": self.request_id.decode()}
        if self.traceparent:
            names["trace_id"] = self.traceparent.split(b"-")[1].decode()
        return names


def header_lines(headers: Iterable[Header]) -> bytes:
    """Return headers as HTTP/1.1 writes them."""
    return b"".join([b"%s: %s\r\n" % header for header in headers])
