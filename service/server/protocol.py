"""A connection of the service: the path of each request, time limits, rejections before there is a path."""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api.predict import JSONBytes
from service.api.request_context import CLOSE, Header, RequestContext, header_lines
from service.api.state import Service
from service.errors import RequestTimeout, ServiceError
from service.server.connections import make_room
from service.server.fast_path import MAX_BODY_BYTES, FastRequest, find_media_type
from service.server.http11 import ANSWER, BODY, CLIENT, HEADERS, REQUEST, Http11Protocol
from service.server.throttle import Throttle, weigh
from service.server.timeouts import Stage, StageTimer, stage_limits

CLOSE_LINE = header_lines([CLOSE])


class PredictProtocol(Http11Protocol):
    """One connection."""

    def __init__(self, *args: Any, throttle: Throttle, **kwargs: Any) -> None:
        """Take uvicorn's own arguments, and the turns and the throttle that all connections share."""
        super().__init__(*args, **kwargs)
        self._throttle = throttle
        # The lifespan has made it before the first connection comes.
        self._service: Service = self.config.app.state.service  # type: ignore[union-attr]
        self.max_message_bytes = 8 * max(
            self._service.max_body_bytes, self._service.settings.max_picture_bytes
        )
        self._timer = StageTimer()
        self._last_request_at = math.inf
        self._common_headers: list[Header] | None = None
        self._common_lines = b""

    def take_request(self) -> None:
        """Take the fast path, or hand the request over to uvicorn."""
        media_type = find_media_type(self.url, self.parser.get_method(), self.headers)
        waiting = self.cycle is not None and not self.cycle.response_complete
        if media_type is None or waiting or self.flow.write_paused:
            self.take_general_path()
        else:
            self.answering = self.cycle = FastRequest(self, self._service, media_type)  # type: ignore[assignment]

    def take_general_path(self) -> None:
        """Hand the request over to uvicorn; it may have itself throttled."""
        super().take_general_path()  # raises where the URL is none
        self.scope["state"]["pause_after_rejection"] = self.pause_after_rejection

    def continue_request(self) -> None:
        """Hand the request over whose body, a chunked one, has grown beyond what the fast path takes."""
        request = self.cycle
        if isinstance(request, FastRequest) and not request.done() and len(request.body) > MAX_BODY_BYTES:
            trailers, self.headers = self.headers, request.withdraw()
            self.take_general_path()
            self.headers = trailers
            self.on_body(bytes(request.body))

    def finish_request(self) -> None:
        """Answer, now that the body is whole."""
        cycle = self.cycle
        if isinstance(cycle, FastRequest):
            cycle.begin()
        else:
            super().finish_request()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection, and decide how long and for how many requests it may stay open."""
        super().connection_made(transport)
        settings = self._service.settings
        age, requests = settings.connection_max_age_seconds, settings.max_requests_per_connection
        # Not for security: connections that began together are not to end together.
        share = random.uniform(0.5, 1)  # noqa: S311 # nosec B311
        self._last_request_at = time.monotonic() + age * share if age else math.inf
        self.requests_left = math.ceil(requests * share) if requests else math.inf
        make_room([one for one in self.connections if isinstance(one, PredictProtocol)], self)

    def pause_after_rejection(self, body_bytes: int, *, full: bool) -> None:
        """Parse nothing more for a while, if the throttle says so after a refused request."""
        weight = weigh(body_bytes, full=full)
        if self._throttle.count_refusal(weight):
            self.pause()
            self._throttle.pause(self.resume, weight)

    def check_timeouts(self, now: float) -> None:
        """Close the connection if its client has kept it in one stage for too long."""
        if now >= self._last_request_at:
            self.last_request = True
        stage = self.current_stage()
        message = self.headers if stage is self.reading else None  # each message has a list of its own
        limit = stage_limits(self._service.settings)[stage]
        if self._timer.seconds(stage, message, now) < limit:
            return
        if stage is REQUEST:
            self.transport.close()
        elif stage is CLIENT:
            self.transport.abort()
        else:
            part = "headers" if stage is HEADERS else "body"
            self.reject(RequestTimeout(f"the {part} did not arrive within {limit:g} s"))

    def idle_since(self) -> float | None:
        """Return when the connection began to wait for a request; None where it has one."""
        return self._timer.since if self.current_stage() is REQUEST else None

    def current_stage(self) -> Stage:
        """Return what the connection waits for."""
        if self.transport.is_closing() or self.flow.write_paused:
            return CLIENT
        if self.has_earlier() or self.backlog:
            return ANSWER
        return self.reading

    def reject(self, error: ServiceError) -> None:
        """Answer the request that is being read with an error, after those before it, and close."""
        cycle: Any = self.cycle
        if self.transport.is_closing():
            return
        if self.has_earlier():
            self.rejection = error
            self.pause()
            return
        if isinstance(cycle, FastRequest) and self.reading is BODY:
            cycle.keep_alive = False
            cycle.set_exception(error)
        elif self.reading is not BODY or not (cycle.response_complete or cycle.response_started):
            context = RequestContext(self._service.tracker, self.headers or ())
            response = context.error_response("", "", error)
            self.write_response(context, response, close=True)
            if self.reading is BODY:
                context.withdraw()  # uvicorn's cycle has counted it, and finds its client gone
            else:
                context.finish("unknown", "unknown", response.status_code)
        self.close()

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
                    response.header_lines
                    if isinstance(response, JSONBytes)
                    else header_lines(response.raw_headers),
                    CLOSE_LINE if close else b"",
                    b"\r\n",
                    response.body,
                )
            )
        )
