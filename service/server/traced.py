"""A connection whose requests may be traced: those that are take the general path."""

from __future__ import annotations

import time
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.request_context import Header
from service.server.protocol import PredictProtocol
from service.tracing import TRACEPARENT, current_trace

if TYPE_CHECKING:
    from service.otel import Trace, Tracing

# Probes and scrapes come every few seconds, from whoever asks all pods the same.
UNTRACED = frozenset((b"/healthz", b"/metrics", b"/ping", b"/v2/health/live", b"/v2/health/ready"))


class TracedProtocol(PredictProtocol):
    """One connection of a service that sends traces."""

    def __init__(self, *args: Any, tracing: Tracing, **kwargs: Any) -> None:
        """Take a PredictProtocol's own arguments, and what decides which requests are traced."""
        super().__init__(*args, **kwargs)
        self._tracing = tracing

    def take_request(self) -> None:
        """Take the request as ever, unless it is to be traced."""
        traceparent, tracestate = find_parent(self.headers)
        parent = None if self.url in UNTRACED else self._tracing.sample(traceparent, tracestate)
        if parent is None:
            super().take_request()
            return
        started = time.time_ns()
        self.take_general_path()
        scope: Any = self.scope
        scope["state"]["trace"] = trace = self._tracing.begin(parent, scope, started)
        if not traceparent:  # log lines and the answer then name the trace that begins here
            scope["headers"].append((b"traceparent", trace.traceparent))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        super()._start_asgi_task(cycle, partial(_run, app))

    def _take_turn(self) -> None:
        # The turns may have begun with a traced request's answer; what is parsed is not part of its trace.
        Context().run(super()._take_turn)


def find_parent(headers: list[Header]) -> tuple[bytes, bytes]:
    """Return the ``traceparent`` and the ``tracestate`` of a request; both are empty where there is none."""
    traceparent = tracestate = b""
    for name, value in headers:
        if name == b"traceparent" and TRACEPARENT.fullmatch(value):
            traceparent = value
        elif name == b"tracestate":
            tracestate = value
    return traceparent, tracestate


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the application on a request, and end its trace, if it has one."""
    trace: Trace | None = scope["state"].get("trace")
    if trace is None:
        await app(scope, receive, send)
        return
    current_trace.set(trace)
    status = 0

    async def send_noting_status(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await app(scope, receive, send_noting_status)
    finally:
        route = scope["route"].path if "route" in scope else ""
        trace.end(route=route, status=status, request_id=scope["state"]["request_id"].decode())
