"""What happens to every request, whatever its route."""

from __future__ import annotations

import itertools
import logging
import random
import re
import secrets
import time
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.archive import InvalidModel
from service.errors import (
    MemoryShort,
    QueueFull,
    RequestAbandoned,
    ServiceError,
    open_inference_error,
    problem,
    problem_details,
)
from service.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_REQUEST_ID_BYTES = 128
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
OPEN_INFERENCE = "/v2"  # whose clients expect errors in the protocol's own shape
SERVICE_UNAVAILABLE = 503
CLIENT_CLOSED_REQUEST = 499  # nginx's word for it; nobody is there to receive it, but the metrics are


class Edge:
    """Gives each request an id, says which replica answered, turns errors into answers, counts and times.

    It stands in for Starlette's own stack of three: on the way to a prediction every layer counts.

    An ``X-Request-ID`` that the client sends is kept if it is short and printable, so that one id follows a
    request through every service; so is a W3C ``traceparent``.
    """

    app: ASGIApp

    def __init__(self, *, metrics: Metrics, replica: str, access_log_sample: float = 0.0) -> None:
        self.metrics = metrics
        self.access_log_sample = access_log_sample
        self.headers = [
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with ``scope["state"]["request_id"]`` set."""
        if scope["type"] != "http":
            await self.app(scope, receive, _terse(send))
            return
        visit = Visit(self, scope["headers"])
        scope.setdefault("state", {})["request_id"] = visit.request_id
        status = 0

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += visit.headers
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self.app(scope, receive, identified)
        except RequestAbandoned:
            status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            if status:
                raise
            if isinstance(error, QueueFull) and "step_back" in scope["state"]:
                scope["state"]["step_back"]()
            await visit.refusal(scope["path"], scope["method"], error)(scope, receive, identified)
        finally:
            # The route's template, never the raw path: labels must stay few.
            visit.leave(scope["route"].path if "route" in scope else "unknown", scope["method"], status)

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """Return a request's id, or one that no other has, and its trace, empty if it has none."""
        request_id = traceparent = b""
        for name, value in headers:
            if name == b"x-request-id":
                if 0 < len(value) <= MAX_REQUEST_ID_BYTES and _printable(value):
                    request_id = bytes(value)
            elif name == b"traceparent" and TRACEPARENT.fullmatch(value):
                traceparent = bytes(value)
        # A random number for the process and a count within it: as unique as 16 random bytes, for a third
        # of the time.
        return request_id or b"%s%016x" % (self._process, next(self._count)), traceparent


class Visit:
    """One request between its head and the end of its answer."""

    __slots__ = ("_edge", "_started", "request_id", "traceparent")

    def __init__(self, edge: Edge, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._edge = edge
        self._started = time.perf_counter()
        self.request_id, self.traceparent = edge.identify(headers)
        edge.in_flight += 1

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the answer says of this visit."""
        headers = [(b"x-request-id", self.request_id), *self._edge.headers]
        return [*headers, (b"traceparent", self.traceparent)] if self.traceparent else headers

    @property
    def header_lines(self) -> bytes:
        """The same as lines; nearly all of them are ready."""
        if self.traceparent:
            return header_lines(self.headers)
        return b"x-request-id: %s\r\n%s" % (self.request_id, self._edge.header_lines)

    def withdraw(self) -> None:
        """Forget the request: somebody else takes it over."""
        self._edge.in_flight -= 1

    def leave(self, route: str, method: str, status: int) -> None:
        """Count the request as answered."""
        self._edge.in_flight -= 1
        now = time.perf_counter()
        seconds = now - self._started
        if self._edge.draining and status != SERVICE_UNAVAILABLE:
            self._edge.last_served = now
        self._edge.metrics.request(route, method, status, seconds)
        sample = self._edge.access_log_sample
        # Nobody gains by guessing this number.
        if sample and random.random() < sample:  # noqa: S311 # nosec B311
            figures = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
            logger.info("%s %s %d", method, route, status, extra=figures | self._names())

    def refusal(self, path: str, method: str, error: Exception) -> Response:
        """Return the answer to an error: a refusal by name, or a fault of our own that the log explains."""
        response = self._refusal(path, method, error)
        return open_inference_error(response) if path.startswith(OPEN_INFERENCE) else response

    def _refusal(self, path: str, method: str, error: Exception) -> Response:
        if isinstance(error, MemoryError):
            error = MemoryShort("there is not enough memory for this request now; try again in a second")
        if isinstance(error, ServiceError):
            self._edge.metrics.rejected.labels(error.slug).inc()
            return problem(error)
        if isinstance(error, HTTPException):
            return _unrouted(path, method, error)
        names = self._names()
        logger.error("%s %s failed", method, path, exc_info=error, extra=names)
        return problem_details(
            500, f"the service failed; its log has the details under request {names['request_id']}"
        )

    def _names(self) -> dict[str, str]:
        """What finds this request in the logs of others."""
        names = {"request_id": self.request_id.decode()}
        if self.traceparent:
            names["trace_id"] = self.traceparent.split(b"-")[1].decode()
        return names


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as HTTP/1.1 writes them."""
    return b"".join(b"%s: %s\r\n" % header for header in headers)


def _unrouted(path: str, method: str, error: HTTPException) -> Response:
    if error.status_code == 405:
        detail = f"{method} is not allowed on {path}; use {(error.headers or {}).get('Allow', '')}"
    else:
        detail = f"nothing is at {path[:200]}; predictions are at POST /predict"
    return problem_details(error.status_code, detail, headers=error.headers)


def _printable(value: bytes) -> bool:
    return value.isascii() and value.decode().isprintable()


def _terse(send: Send) -> Send:
    """Tell a start that fails for want of good weights in one line; the traceback would say no more."""

    async def terse(message: Message) -> None:
        _, known, sentence = message.get("message", "").rstrip().rpartition(f"{InvalidModel.__qualname__}: ")
        await send({**message, "message": sentence} if known else message)

    return terse
