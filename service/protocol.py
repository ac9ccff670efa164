"""The short way from a socket to the batcher, for the one request that this service lives on.

uvicorn gives every request a scope, a task, two events and two rounds of header checks, and ASGI takes it
through a stack of coroutines: together that costs more than decoding an image and computing its digit. A
plain ``POST /predict`` needs none of it. Its bytes go from uvicorn's parser to the decoder and the batcher,
and the answer goes back as one write. ``python -m benchmarks`` says what that is worth.

Anything else takes the long way and is none of this module's business: other routes, chunked, large or
``Expect``-ing bodies, bodies that hold more than one plain image, whatever a client sends before its last
answer has come, and clients that do not read. Both ways share the decoder, the batcher, the errors and the
figures, and answer alike; the tests send every body both ways.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service import codec
from service.middleware import CLIENT_CLOSED_REQUEST, Visit
from service.model import Prediction

ROUTE = "/predict"
# Below uvicorn's high-water mark of 64 KiB: it never has to stop reading for us.
MAX_BODY_BYTES = 1 << 15
LONG_WAY_HEADERS = frozenset((b"expect", b"transfer-encoding", b"upgrade"))


class PredictProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with a short way for predictions."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find what serves; the lifespan has made it before the first connection comes."""
        super().connection_made(transport)
        app: Any = self.config.app
        self._service = app.state.service
        self._common_from: list[tuple[bytes, bytes]] | None = None
        self._common = b""

    def on_message_begin(self) -> None:
        """Put the building of a scope off until it is known that one is needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Take the short way, or hand everything over to uvicorn."""
        if self._short():
            self.cycle = _Exchange(self, self._service)  # type: ignore[assignment]
        else:
            self._take_long_way()

    def on_message_complete(self) -> None:
        """Answer, now that the body is whole."""
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

    def common_headers(self) -> bytes:
        """Return the lines that uvicorn puts into every answer; it makes a new list of them each second."""
        headers = self.server_state.default_headers
        if headers is not self._common_from:
            self._common_from, self._common = headers, b"".join(b"%s: %s\r\n" % header for header in headers)
        return self._common

    def _take_long_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope holds this list
        super().on_headers_complete()

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
            content_type = next(
                (value for name, value in self._protocol.headers if name == b"content-type"), b""
            )
            self._reply = service.batcher.submit(service.decoder.decode(content_type, bytes(self.body)))
            self._reply.add_done_callback(self._finish)
        except codec.NotPlain:
            raise
        except Exception as error:
            self._refuse(error)

    def _finish(self, reply: asyncio.Future[Prediction]) -> None:
        if self.disconnected or reply.cancelled():
            self._visit.leave(ROUTE, "POST", CLIENT_CLOSED_REQUEST)
            return
        try:
            content = codec.encode(reply.result())
        except Exception as error:
            self._refuse(error)
        else:
            self._write(
                200, b"content-type: application/json\r\ncontent-length: %d\r\n" % len(content), content
            )

    def _refuse(self, error: Exception) -> None:
        response = self._visit.refusal(ROUTE, "POST", error)
        headers = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
        self._write(response.status_code, headers, bytes(response.body))

    def _write(self, status: int, headers: bytes, content: bytes) -> None:
        protocol = self._protocol
        connection = b"" if self.keep_alive else b"connection: close\r\n"
        parts = (
            STATUS_LINE[status],
            protocol.common_headers(),
            self._visit.header_lines,
            headers,
            connection,
        )
        protocol.transport.write(b"".join((*parts, b"\r\n", content)))
        self.response_complete = True
        self._visit.leave(ROUTE, "POST", status)
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
