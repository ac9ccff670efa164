"""Spans through OpenTelemetry's SDK: the only module that imports it, and only if traces are asked for.

What is not said here, the SDK reads from its own variables: OTEL_TRACES_SAMPLER and its argument,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_SCHEDULE_DELAY and the like.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NoOpTracer,
    Span,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

NAME = "rust-ml-api"
METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
STOP_SECONDS = 2.0
PORT_DIGITS = 5
ROOT = Context()  # of a trace that begins here
# The SDK's samplers look at the lower 64 bits of an id; Python has no length for a range of so many.
HIGHEST, DROPPED_BITS = (1 << 62) - 1, 2


class Tracing:
    """Decides which requests are traced, and sends their spans to a receiver.

    ``stop`` ends the thread that sends.
    """

    def __init__(self, endpoint: str, *, version: str, replica: str) -> None:
        """Send traces to this URL, as a replica of the service."""
        own = {"service.name": NAME, "service.version": version, "service.instance.id": replica}
        self._ids = _DrawnIds()
        self._provider = TracerProvider(
            # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES prevail.
            resource=Resource(own).merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._sampler = self._provider.sampler
        self._tracer = self._provider.get_tracer(NAME, version)
        self.enabled = not isinstance(self._tracer, NoOpTracer)  # it is one with OTEL_SDK_DISABLED
        if self.enabled:
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._propagator = TraceContextTextMapPropagator()
        unsampled = self._extract(b"00-00000000000000000000000000000001-0000000000000001-00", b"")
        self._follows_parents = self._sample_child(unsampled) is None
        # Each of them samples the ids below a bound. To know it costs a quarter of asking for each request.
        self._bound = bisect_left(
            range(HIGHEST + 1), True, key=lambda high: not self._samples(ROOT, high << DROPPED_BITS)
        )

    def sample(self, traceparent: bytes, tracestate: bytes) -> Context | None:
        """Return what a request's trace goes on from, or None if the request is not to be traced.

        ``traceparent`` is that of the request, or empty. Most requests go untraced: nothing is made for them.
        """
        if not traceparent:
            return ROOT if self._ids.draw() >> DROPPED_BITS & HIGHEST < self._bound else None
        if self._follows_parents and not int(traceparent[-2:], 16) & 1:
            return None
        return self._sample_child(self._extract(traceparent, tracestate))

    def begin(self, parent: Context, scope: MutableMapping[str, Any], started: int) -> Trace:
        """Begin the trace of a request, for which ``sample`` has returned its parent."""
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        span = self._tracer.start_span(
            _span_name(method), parent, SpanKind.SERVER, _attributes(method, scope), start_time=started
        )
        return Trace(self, span, method)

    def begin_span(self, name: str, trace: Trace) -> Span:
        """Begin a step of a request."""
        return self._tracer.start_span(name, trace.context)

    def record_batch(
        self,
        images: Mapping[Trace, int],
        started: int,
        ended: int,
        attributes: Mapping[str, str | int],
        error: Exception | None,
    ) -> None:
        """Record a batch in each trace that had images in it, and how many.

        The first one's span links to the requests of the others, and theirs link to it: each leads to all,
        with as many links as there are requests, and not their square.
        """
        first: Link | None = None
        for trace, count in images.items():
            links = (
                [Link(each.span_context) for each in images if each is not trace]
                if first is None
                else [first]
            )
            span = self._tracer.start_span(
                "batch",
                trace.context,
                attributes={**attributes, "inference.images": count},
                links=links,
                start_time=started,
            )
            if error is not None:
                _note_error(span, error)
            first = first or Link(span.get_span_context())
            span.end(ended)

    def stop(self) -> None:
        """Send what is left, for as long as that may take."""
        # A daemon: a receiver that takes connections and answers none keeps no process from ending.
        thread = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(STOP_SECONDS)

    def _sample_child(self, parent: Context) -> Context | None:
        trace_id = get_current_span(parent).get_span_context().trace_id
        return parent if self._samples(parent, trace_id) else None

    def _samples(self, parent: Context, trace_id: int) -> bool:
        decision = self._sampler.should_sample(parent, trace_id, "", SpanKind.SERVER).decision
        return decision is Decision.RECORD_AND_SAMPLE

    def _extract(self, traceparent: bytes, tracestate: bytes) -> Context:
        carrier = {"traceparent": traceparent.decode(), "tracestate": tracestate.decode("latin-1")}
        return self._propagator.extract(carrier, ROOT)


class Trace:
    """A request that is traced, from its head to the end of its answer."""

    __slots__ = ("_method", "_queue", "_span", "_tracing", "context")

    def __init__(self, tracing: Tracing, span: Span, method: str) -> None:
        self._tracing = tracing
        self._span = span
        self._method = method
        self._queue: Span | None = None
        self.context = set_span_in_context(span, ROOT)

    @property
    def span_context(self) -> Any:
        """What a link to the request needs."""
        return self._span.get_span_context()

    @property
    def traceparent(self) -> bytes:
        """The request's span, as the header ``traceparent`` names it."""
        context = self.span_context
        return b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record a step as long as the context lasts."""
        span = self._tracing.begin_span(name, self)
        try:
            yield
        except Exception as error:
            _note_error(span, error)
            raise
        finally:
            span.end()

    def begin_queue(self) -> None:
        """Note that an image has been queued; the first one counts."""
        if self._queue is None:
            self._queue = self._tracing.begin_span("queue", self)

    def end_queue(self, ended: int | None = None) -> None:
        """Note that a batch has begun that has an image of the request; the first one counts."""
        if self._queue is not None and self._queue.is_recording():
            self._queue.end(ended)

    def end(self, *, route: str, status: int, request_id: str) -> None:
        """End with an answer of this status; 0: the client has gone without one."""
        span = self._span
        self.end_queue()  # it may have been refused, or waited in vain
        span.set_attribute("http.response.header.x-request-id", [request_id])
        if route:
            span.update_name(f"{_span_name(self._method)} {route}")
            span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not status:
            span.set_attribute("error.type", str(status) if status else "client_disconnected")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()


class _DrawnIds(RandomIdGenerator):
    """Gives a trace that begins here the id that the sampler has seen."""

    drawn = 0

    def draw(self) -> int:
        self.drawn = super().generate_trace_id()
        return self.drawn

    def generate_trace_id(self) -> int:
        return self.drawn


def _span_name(method: str) -> str:
    return "HTTP" if method == "_OTHER" else method


def _attributes(method: str, scope: Mapping[str, Any]) -> dict[str, str | int]:
    """Return what OpenTelemetry's conventions for HTTP servers say of a request's head."""
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }
    if method == "_OTHER":
        attributes["http.request.method_original"] = scope["method"]
    if scope["query_string"]:
        attributes["url.query"] = scope["query_string"].decode("latin-1")
    if scope["client"]:
        attributes["client.address"], attributes["client.port"] = scope["client"]
    attributes.update(_address(scope["headers"]))
    return attributes


def _address(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str | int]]:
    for name, value in headers:
        if name == b"host":
            host, _, port = value.decode("latin-1").rpartition(":")
            if host and port.isdecimal() and len(port) <= PORT_DIGITS:
                yield "server.address", host
                yield "server.port", int(port)
            else:
                yield "server.address", value.decode("latin-1")
        elif name == b"user-agent":
            yield "user_agent.original", value.decode("latin-1")


def _note_error(span: Span, error: Exception) -> None:
    """Say what went wrong; a refusal of what a client has sent is no failure."""
    span.set_attribute("error.type", getattr(error, "slug", type(error).__qualname__))
    if getattr(error, "status", HTTPStatus.INTERNAL_SERVER_ERROR) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.set_status(StatusCode.ERROR, str(error))
