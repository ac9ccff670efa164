"""A receiver of traces that speaks OTLP over HTTP, as a collector does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.wait import until

KINDS, STATUSES = trace_pb2.Span.SpanKind, trace_pb2.Status.StatusCode


@dataclass(frozen=True)
class Span:
    """A span as it came over the wire."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    started: int
    ended: int
    status: str
    state: str
    attributes: dict[str, Any]
    links: list[str]  # the ids of spans
    resource: dict[str, Any]


@dataclass
class Receiver:
    """What has been received, and where."""

    url: str
    spans: list[Span] = field(default_factory=list)

    def of_trace(self, trace_id: str, count: int) -> dict[str, list[Span]]:
        """The spans of a trace by their names, once there are so many."""

        def found() -> list[Span]:
            return [span for span in self.spans if span.trace_id == trace_id]

        until(lambda: len(found()) >= count, f"{count} spans of the trace {trace_id}")
        spans = found()
        assert len(spans) == count, [span.name for span in spans]
        return {name: [span for span in spans if span.name == name] for name in {span.name for span in spans}}


@contextmanager
def receive() -> Iterator[Receiver]:
    """Receive traces on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.spans += read_spans(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield receiver
        finally:
            server.shutdown()


def read_spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """The spans in a message."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=KINDS.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    started=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    status=STATUSES.Name(span.status.code).removeprefix("STATUS_CODE_"),
                    state=span.trace_state,
                    attributes=_attributes(span.attributes),
                    links=[link.span_id.hex() for link in span.links],
                    resource=_attributes(resource.resource.attributes),
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return (
        [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )
