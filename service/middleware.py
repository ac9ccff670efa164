"""What happens to every request, whatever its route: one plain ASGI class."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import RequestAbandoned, ServiceError, problem, problem_details
from service.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_REQUEST_ID_BYTES = 128
CLIENT_CLOSED_REQUEST = 499  # nginx's word for it; nobody is there to receive it, but the metrics are


class Edge:
    """Gives each request an id, says which replica answered, turns errors into answers, counts and times.

    It stands in for Starlette's own stack of three: on the way to a prediction every layer counts.

    An ``X-Request-ID`` that the client sends is kept if it is short and printable, so that one id follows a
    request through every service.
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

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += ((b"x-request-id", request_id), self._served_by)
            await send(message)

        self._in_flight += 1
        try:
            await self._app(scope, receive, identified)
        except RequestAbandoned:
            status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            if status:
                raise
            await self._refusal(scope, error)(scope, receive, identified)
        finally:
            self._in_flight -= 1
            # The route's template, never the raw path: labels must stay few.
            route = scope["route"].path if "route" in scope else "unknown"
            self._metrics.request(route, scope["method"], status, time.perf_counter() - started)

    def _refusal(self, scope: Scope, error: Exception) -> Response:
        if isinstance(error, ServiceError):
            self._metrics.rejected.labels(error.slug).inc()
            return problem(error)
        if isinstance(error, HTTPException):
            return _unrouted(scope, error)
        request_id = scope["state"]["request_id"].decode()
        logger.error(
            "%s %s failed", scope["method"], scope["path"], exc_info=error, extra={"request_id": request_id}
        )
        # The details are for the log, not for the caller.
        return problem_details(500, f"the service failed; its log has the details under request {request_id}")


def _unrouted(scope: Scope, error: HTTPException) -> Response:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"{scope['method']} is not allowed on {scope['path']}; use {allowed}"
    else:
        detail = f"nothing is at {scope['path']}; predictions are at POST /predict"
    return problem_details(error.status_code, detail, headers=error.headers)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and 0 < len(value) <= MAX_REQUEST_ID_BYTES and _printable(value):
            return bytes(value)
    return secrets.token_hex(16).encode()


def _printable(value: bytes) -> bool:
    return value.isascii() and value.decode().isprintable()
