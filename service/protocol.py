"""The short way from a socket to the batcher, for the one request that this service lives on.

uvicorn gives every request a scope, a task, two events and two rounds of header checks, and ASGI takes it
through a stack of coroutines: together that costs more than decoding an image and computing its digit. A
plain ``POST /predict`` needs none of it. Its bytes go from uvicorn's parser to the decoder and the batcher,
and the answer goes back as one write. ``python -m benchmarks`` says what that is worth.

Anything else takes the long way and is none of this module's business: other routes, chunked, large or
``Expect``-ing bodies, bodies that hold more than one plain image, whatever a client sends before its last
answer has come, and clients that do not read. Both ways share the decoder, the batcher, the errors and the
figures, and answer alike; the tests send every body both ways.

``service.server`` looks at each connection from time to time, and has it cut off if its client keeps it
waiting: this costs a request three assignments, and no timer.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service import codec
from service.errors import HeadersTooLarge, InvalidRequest, QueueFull, RequestTimeout, ServiceError
from service.middleware import CLIENT_CLOSED_REQUEST, Visit, header_lines
from service.model import Prediction

ROUTE = "/predict"
# Below uvicorn's high-water mark of 64 KiB: it never has to stop reading for us.
MAX_BODY_BYTES = 1 << 15
MAX_HEAD_BYTES, MAX_HEADERS = 1 << 16, 256
LONG_WAY_HEADERS = frozenset((b"expect", b"transfer-encoding", b"upgrade"))

# What a connection's parser is in the middle of.
NOTHING, HEAD, BODY = 0, 1, 2


class Stage(Enum):
    """What a connection waits for."""

    REQUEST = auto()  # the next one
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()  # ours; its own limits hold
    READER = auto()  # the client, to take what has been written


class PredictProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with a short way for predictions."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find what serves; the lifespan has made it before the first connection comes."""
        super().connection_made(transport)
        app: Any = self.config.app
        self._service = app.state.service
        self._reading = NOTHING
        self._ended = False
        self._sized: object = None
        self._size = 0
        self._stage: tuple[Stage, object] | None = None
        self._stage_since = 0.0
        self._unheard: bytes | None = None
        self._common_from: list[tuple[bytes, bytes]] | None = None
        self._common = b""

    def on_message_begin(self) -> None:
        """Put the building of a scope off until it is known that one is needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._reading = HEAD

    def on_headers_complete(self) -> None:
        """Take the short way, or hand everything over to uvicorn."""
        if self._short():
            self.cycle = _Exchange(self, self._service)  # type: ignore[assignment]
        else:
            self._take_long_way()  # which raises where the path is none
        self._reading = BODY

    def on_message_complete(self) -> None:
        """Answer, now that the body is whole."""
        self._reading = NOTHING
        self._ended = True
        cycle = self.cycle
        if not isinstance(cycle, _Exchange):
            super().on_message_complete()
            return
        try:
            cycle.begin()
        except codec.NotPlain:
            cycle.withdraw()
            self._take_long_way()
            super().on_body(bytes(cycle.body))
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; a request that is in pieces may not have any number of them."""
        if self._unheard is not None:
            self._unheard += data
            if len(self._unheard) > MAX_BODY_BYTES:
                self.flow.pause_reading()
            return
        self._ended = False
        HttpToolsProtocol.data_received(self, data)
        if self._reading:
            # What came with the end of another message may be mostly that one's.
            self._measure(0 if self._ended else len(data))

    def step_back(self) -> None:
        """Having been refused for want of room, keep what comes unread if it is the turnstile's turn."""
        turnstile = self._service.turnstile
        if turnstile.refused() and self._unheard is None:
            self._unheard = b""
            turnstile.wait_outside(self._listen)

    def _listen(self) -> None:
        unheard, self._unheard = self._unheard, None
        if unheard and not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(unheard)

    def shutdown(self) -> None:
        """End with the answer to what has come; it is heard now, if it was not."""
        self._listen()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, not ours
        """Answer what is not HTTP."""
        self._turn_away(InvalidRequest("this is not HTTP/1.1"))

    def look(self, now: float) -> None:
        """Cut the connection off if its client has kept it in one stage for too long."""
        # Each message has a list of headers of its own: two looks that find the same one see one message.
        stage, headers = self._found()
        if self._stage is None or self._stage[0] is not stage or self._stage[1] is not headers:
            self._stage, self._stage_since = (stage, headers), now
            return
        settings = self._service.settings
        waited = now - self._stage_since
        if stage is Stage.REQUEST and waited >= settings.keep_alive_seconds:
            self.transport.close()
        elif stage is Stage.HEAD and waited >= settings.header_timeout_seconds:
            self._turn_away(
                RequestTimeout(f"the headers did not arrive within {settings.header_timeout_seconds:g} s")
            )
        elif stage is Stage.BODY and waited >= settings.body_timeout_seconds:
            self._turn_away(
                RequestTimeout(f"the body did not arrive within {settings.body_timeout_seconds:g} s")
            )
        elif stage is Stage.READER and waited >= settings.body_timeout_seconds:
            self.transport.abort()

    def _found(self) -> tuple[Stage, object]:
        if self.transport.is_closing() or self.flow.write_paused:
            return Stage.READER, None
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (answering and self._reading != BODY):
            return Stage.ANSWER, None
        return (Stage.REQUEST, Stage.HEAD, Stage.BODY)[self._reading], self.headers

    def _measure(self, size: int) -> None:
        if self._sized is not self.headers:
            self._sized, self._size = self.headers, 0
        self._size += size
        head = self._reading == HEAD
        # The body's own limit is a 413; this one is for those who go on after it, and for endless trailers.
        if len(self.headers) > MAX_HEADERS or (head and self._size > MAX_HEAD_BYTES):
            self._turn_away(
                HeadersTooLarge(f"the headers are over {MAX_HEAD_BYTES} bytes, or over {MAX_HEADERS} lines")
            )
        elif self._size > 8 * self._service.settings.max_body_bytes:
            self.transport.close()

    def _turn_away(self, error: ServiceError) -> None:
        """Say why the request that is being read will not be answered, if that can be said, and hang up."""
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if isinstance(cycle, _Exchange) and self._reading == BODY:
            cycle.keep_alive = False
            cycle.refuse(error)
        elif self._may_speak():
            visit = Visit(self._service.edge, self.headers or ())
            response = visit.refusal("", "", error)
            self.respond(
                visit,
                response.status_code,
                header_lines(response.raw_headers),
                bytes(response.body),
                last=True,
            )
            if self._reading == BODY:
                visit.withdraw()  # uvicorn's cycle has counted it, and finds its client gone
            else:
                visit.leave("unknown", "unknown", response.status_code)
        self.transport.close()

    def _may_speak(self) -> bool:
        """Whether the next bytes that the client reads answer the request that is being read."""
        cycle: Any = self.cycle
        if self.pipeline:
            return False
        if self._reading == BODY:
            return not (cycle.response_complete or cycle.response_started)
        return cycle is None or cycle.response_complete

    def respond(self, visit: Visit, status: int, headers: bytes, content: bytes, *, last: bool) -> None:
        """Write a whole answer; the last of a connection says so."""
        # uvicorn puts these into every answer, and makes a new list of them each second.
        common = self.server_state.default_headers
        if common is not self._common_from:
            self._common_from, self._common = common, header_lines(common)
        self.transport.write(
            b"".join(
                (
                    STATUS_LINE[status],
                    self._common,
                    visit.header_lines,
                    headers,
                    b"connection: close\r\n\r\n" if last else b"\r\n",
                    content,
                )
            )
        )

    def _take_long_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope holds this list
        super().on_headers_complete()
        self.scope["state"]["step_back"] = self.step_back

    def _short(self) -> bool:
        if self.url != b"/predict" or self.parser.get_method() != b"POST":
            return False
        if (self.cycle is not None and not self.cycle.response_complete) or self.flow.write_paused:
            return False
        length = -1
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value)
            elif name in LONG_WAY_HEADERS:
                return False
        return 0 <= length <= MAX_BODY_BYTES and not self._service.guarded


class _Exchange:
    """One request on the short way; uvicorn's protocol takes it for its own RequestResponseCycle.

    ``body``, ``response_complete``, ``disconnected``, ``keep_alive`` and ``message_event`` are what that
    protocol reads and writes of a cycle.
    """

    __slots__ = (
        "_protocol",
        "_reply",
        "_service",
        "_visit",
        "body",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    def __init__(self, protocol: PredictProtocol, service: Any) -> None:
        self.body = bytearray()
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = protocol.parser.should_keep_alive()
        self._protocol = protocol
        self._service = service
        self._visit = Visit(service.edge, protocol.headers)
        self._reply: asyncio.Future[Prediction] | None = None

    @property
    def message_event(self) -> _Exchange:
        """What uvicorn sets when the connection is lost."""
        return self

    def set(self) -> None:
        """Let go of everything if the client has gone."""
        if self.disconnected and self._reply is not None:
            self._reply.cancel()
        elif self.disconnected:
            self._visit.leave(ROUTE, "POST", CLIENT_CLOSED_REQUEST)

    def withdraw(self) -> None:
        """Leave the request to uvicorn, as if it had never been here."""
        self.response_complete = True
        self._visit.withdraw()

    def begin(self) -> None:
        """Decode the body and queue its image.

        Raises:
            NotPlain: the body is for the long way.
        """
        service = self._service
        try:
            service.batcher.check_room()
            content_type = next(
                (value for name, value in self._protocol.headers if name == b"content-type"), b""
            )
            self._reply = service.batcher.submit(service.decoder.decode(content_type, bytes(self.body)))
            self._reply.add_done_callback(self._finish)
        except codec.NotPlain:
            raise
        except Exception as error:
            self.refuse(error)
            if isinstance(error, QueueFull):
                self._protocol.step_back()

    def _finish(self, reply: asyncio.Future[Prediction]) -> None:
        if self.disconnected or reply.cancelled():
            self._visit.leave(ROUTE, "POST", CLIENT_CLOSED_REQUEST)
            return
        try:
            content = codec.encode(reply.result())
        except Exception as error:
            self.refuse(error)
        else:
            self._write(
                200, b"content-type: application/json\r\ncontent-length: %d\r\n" % len(content), content
            )

    def refuse(self, error: Exception) -> None:
        """Answer with an error."""
        response = self._visit.refusal(ROUTE, "POST", error)
        self._write(response.status_code, header_lines(response.raw_headers), bytes(response.body))

    def _write(self, status: int, headers: bytes, content: bytes) -> None:
        protocol = self._protocol
        last = self._service.edge.draining or not self.keep_alive
        protocol.respond(self._visit, status, headers, content, last=last)
        self.response_complete = True
        self._visit.leave(ROUTE, "POST", status)
        if last:
            protocol.transport.close()
        protocol.on_response_complete()
