"""What happens to every request, whatever its route: one plain ASGI class."""

from __future__ import annotations

import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics

MAX_REQUEST_ID_BYTES = 128


class Observe:
    """Gives each request an id, says which replica answered, and counts and times it.

    An ``X-Request-ID`` that the client sends is kept if it is printable and short, so that one id follows
    a request through every service.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, replica: str) -> None:
        self._app = app
        self._metrics = metrics
        self._served_by = (b"x-served-by", replica.encode("latin-1", "replace"))
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with ``scope["state"]["request_id"]`` set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += ((b"x-request-id", request_id), self._served_by)
            await send(message)

        self._in_flight += 1
        try:
            await self._app(scope, receive, observed)
        except Exception:
            status = status or 500
            raise
        finally:
            self._in_flight -= 1
            self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's template, never the raw path: labels must stay few.
        route = scope["route"].path if "route" in scope else "unknown"
        self._metrics.requests.labels(route, scope["method"], status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and 0 < len(value) <= MAX_REQUEST_ID_BYTES and _printable(value):
            return bytes(value)
    return secrets.token_hex(16).encode()


def _printable(value: bytes) -> bool:
    return value.isascii() and value.decode().isprintable()
