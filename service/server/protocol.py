"""uvicorn's HTTP/1.1 protocol, with a fast path for predictions, size limits on heads and time limits."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.api.request_context import CLOSE, Header, RequestContext, header_lines
from service.api.state import Service
from service.errors import HeadersTooLarge, InvalidRequest, RequestTimeout, ServiceError
from service.server.fast_path import MAX_BODY_BYTES, FastRequest, find_media_type
from service.server.throttle import Throttle
from service.server.timeouts import Stage, StageTimer, stage_limits

MAX_HEAD_BYTES, MAX_HEADERS = 1 << 16, 256
CLOSE_LINE = header_lines([CLOSE])
# As globals: an attribute of an enumeration costs ten times as much, four times for each request.
REQUEST, HEADERS, BODY, ANSWER, CLIENT = Stage


class PredictProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, throttle: Throttle, **kwargs: Any) -> None:
        """Take uvicorn's own arguments, and the throttle that all connections share."""
        super().__init__(*args, **kwargs)
        self._throttle = throttle
        # The lifespan has made it before the first connection comes.
        self._service: Service = self.config.app.state.service  # type: ignore[union-attr]
        self._reading = REQUEST  # what the parser is in the middle of
        self._message_ended = False
        self._measured: object = None
        self._size = 0
        self._timer = StageTimer()
        self._paused_data: bytes | None = None
        self._common_headers: list[Header] | None = None
        self._common_lines = b""

    def on_message_begin(self) -> None:
        """Begin a message; its scope is built once it is known that one is needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._reading = HEADERS

    def on_headers_complete(self) -> None:
        """Take the fast path, or hand the request over to uvicorn."""
        media_type = find_media_type(self.url, self.parser.get_method(), self.headers)
        waiting = self.cycle is not None and not self.cycle.response_complete
        if media_type is None or waiting or self.flow.write_paused:
            self._take_general_path()  # raises where the URL is none
        else:
            self.cycle = FastRequest(self, self._service, media_type)  # type: ignore[assignment]
        self._reading = BODY

    def on_message_complete(self) -> None:
        """Answer, now that the body is whole."""
        self._reading = REQUEST
        self._message_ended = True
        cycle = self.cycle
        if isinstance(cycle, FastRequest):
            cycle.begin()
        else:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; the parts of a message have limits before the message is whole."""
        if self._paused_data is not None:
            self._paused_data += data
            if len(self._paused_data) > MAX_BODY_BYTES:
                self.flow.pause_reading()
            return
        self._message_ended = False
        super().data_received(data)
        if self._reading is not REQUEST:
            # What came with the end of another message may be mostly that one's.
            self._check_size(0 if self._message_ended else len(data))

    def pause_after_rejection(self) -> None:
        """Keep what comes unread for a while, if the throttle says so after a request found no room."""
        if self._throttle.count_refusal() and self._paused_data is None:
            self._paused_data = b""
            self._throttle.pause(self._resume)

    def _resume(self) -> None:
        data, self._paused_data = self._paused_data, None
        if data and not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(data)

    def shutdown(self) -> None:
        """End with the answer to what has arrived, even while the connection is paused."""
        self._resume()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, not ours
        """Answer what is not HTTP."""
        self._reject(InvalidRequest("this is not HTTP/1.1"))

    def check_timeouts(self, now: float) -> None:
        """Close the connection if its client has kept it in one stage for too long."""
        stage = self._current_stage()
        message = self.headers if stage is self._reading else None  # each message has a list of its own
        limit = stage_limits(self._service.settings)[stage]
        if self._timer.seconds(stage, message, now) < limit:
            return
        if stage is REQUEST:
            self.transport.close()
        elif stage is CLIENT:
            self.transport.abort()
        else:
            part = "headers" if stage is HEADERS else "body"
            self._reject(RequestTimeout(f"the {part} did not arrive within {limit:g} s"))

    def _current_stage(self) -> Stage:
        if self.transport.is_closing() or self.flow.write_paused:
            return CLIENT
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (answering and self._reading is not BODY):
            return ANSWER
        return self._reading

    def _check_size(self, size: int) -> None:
        if self._measured is not self.headers:
            self._measured, self._size = self.headers, 0
        self._size += size
        head_too_large = self._reading is HEADERS and self._size > MAX_HEAD_BYTES
        # The body's own limit is a 413; this one is for what goes on after it, and for endless trailers.
        if len(self.headers) > MAX_HEADERS or head_too_large:
            self._reject(
                HeadersTooLarge(f"the headers are over {MAX_HEAD_BYTES} bytes, or over {MAX_HEADERS} lines")
            )
        elif self._size > 8 * self._service.settings.max_body_bytes:
            self._close()

    def _reject(self, error: ServiceError) -> None:
        """Answer the request that is being read with an error, if that can be sent now, and close."""
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if isinstance(cycle, FastRequest) and self._reading is BODY:
            cycle.keep_alive = False
            cycle.refuse(error)
        elif self._can_respond():
            context = RequestContext(self._service.tracker, self.headers or ())
            response = context.error_response("", "", error)
            self.write_response(context, response, close=True)
            if self._reading is BODY:
                context.withdraw()  # uvicorn's cycle has counted it, and finds its client gone
            else:
                context.finish("unknown", "unknown", response.status_code)
        self._close()

    def _close(self) -> None:
        """Close the connection; an application that still answers is told so before it writes."""
        self.transport.close()
        cycle = self.cycle
        if cycle is not None and not isinstance(cycle, FastRequest) and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _can_respond(self) -> bool:
        """Return whether the next bytes that the client reads answer the request that is being read."""
        cycle: Any = self.cycle
        if self.pipeline:
            return False
        if self._reading is BODY:
            return not (cycle.response_complete or cycle.response_started)
        return cycle is None or cycle.response_complete

    def write_response(self, context: RequestContext, response: Response, *, close: bool) -> None:
        """Write a whole response; the last of a connection says so."""
        # uvicorn puts these into every answer, and makes a new list of them each second.
        common = self.server_state.default_headers
        if common is not self._common_headers:
            self._common_headers, self._common_lines = common, header_lines(common)
        self.transport.write(
            b"".join(
                (
                    STATUS_LINE[response.status_code],
                    self._common_lines,
                    context.header_lines,
                    header_lines(response.raw_headers),
                    CLOSE_LINE if close else b"",
                    b"\r\n",
                    response.body,
                )
            )
        )

    def _take_general_path(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope holds this list
        super().on_headers_complete()
        self.scope["state"]["pause_after_rejection"] = self.pause_after_rejection
