"""HTTP/1.1 as RFC 9112 asks for it, over uvicorn's parser, with bounds on what is parsed ahead.

Every request comes through here, whatever path it takes. Bytes are parsed in small parts, so that limits hold
however a client cuts them into packets; the connections take turns with all parts but the first; and parsing
stops while enough requests of a connection wait.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.request_context import header_lines
from service.errors import HeadersTooLarge, InvalidRequest, ServiceError, UriTooLong
from service.server.flow import HoldingFlow
from service.server.parsing_turns import ParsingTurns
from service.server.timeouts import Stage

MAX_HEAD_BYTES, MAX_HEADERS = 1 << 16, 256
MAX_URL_BYTES = 1 << 13  # to decode what is escaped in it takes a microsecond for each ten
PART_BYTES = 6 << 10
MAX_PIPELINED = 8
MAX_UNPARSED_BYTES = 1 << 16
# A client that has closed its sending half may have closed both: it gets so long to be answered.
HALF_CLOSED_SECONDS = 1.0
# As globals: an attribute of an enumeration costs ten times as much, four times for each request.
REQUEST, HEADERS, BODY, ANSWER, CLIENT = Stage


class Rejected(Exception):
    """Ends the parsing of a connection that has been closed."""


class Http11Protocol(HttpToolsProtocol):
    """One connection. A subclass decides on the path of a request, and how a rejected one is answered."""

    def __init__(self, *args: Any, turns: ParsingTurns, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns = turns
        self._waits_for_turn = False
        self.reading = REQUEST  # what the parser is in the middle of
        self.answering: Any = (
            None  # the request that is being answered; uvicorn's ``cycle`` is the newest one
        )
        self.requests_left = math.inf
        self.last_request = False  # whether the next request is the connection's last
        self.max_message_bytes = math.inf  # past it, a client goes on after a 413, or never ends its trailers
        self.rejection: ServiceError | None = None  # of what is no request, once those before it are answered
        self._paused = False
        self._unparsed: bytes | memoryview = b""
        self._message_ended = False
        self._measured: object = None
        self._size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin as uvicorn does, with reading that can be held."""
        super().connection_made(transport)
        self.flow: HoldingFlow = HoldingFlow(transport)

    def take_request(self) -> None:
        """Begin to answer the request whose headers are complete."""
        raise NotImplementedError

    def reject(self, error: ServiceError) -> None:
        """Answer the request that is being read with an error, if that can be sent now, and close."""
        raise NotImplementedError

    @property
    def keeps_alive(self) -> bool:
        """Whether a request may follow the one that is being read; after one of HTTP/1.0 none does."""
        keeps = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        return keeps and not self.last_request

    @property
    def backlog(self) -> bool:
        """Whether something waits for an answer that is not complete yet."""
        return bool(self.pipeline or self._unparsed or self.rejection)

    def on_message_begin(self) -> None:
        """Begin a message; its scope is built once it is known that one is needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.reading = HEADERS

    def take_general_path(self) -> None:
        """Hand the request over to uvicorn, and so to the application."""
        self._check_head()
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope holds this list
        super().on_headers_complete()
        if self.last_request:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """Check the head, and take the request."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # the parser stops here; ``_ignore_upgrade`` has it parse the head again
        # No message of most connections comes in parts, and so none is measured.
        if len(self.headers) > MAX_HEADERS or (self._size and self._head_is_too_large()):
            self._end(too_large())
        self.requests_left -= 1
        if self.requests_left <= 0:
            self.last_request = True
        self.take_request()
        self.reading = BODY
        self.headers = []  # what comes now is trailers, which are never taken for headers

    def on_message_complete(self) -> None:
        """Note that the body is whole."""
        if self.parser.should_upgrade():
            return
        self.reading = REQUEST
        self._message_ended = True
        self.finish_request()

    def continue_request(self) -> None:
        """Take note that a part of a request has come, and that there is more of it."""
        raise NotImplementedError

    def finish_request(self) -> None:
        """Take note that the body of the request is whole."""
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse a first part of what has arrived, unless the connection is paused or has enough to parse."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._unparsed or self._paused or len(self.pipeline) >= MAX_PIPELINED:
            self._unparsed = b"".join((self._unparsed, data))
            if len(self._unparsed) > MAX_UNPARSED_BYTES:
                self.flow.hold()
        elif len(data) > PART_BYTES:
            self._unparsed = data
            self._parse_part()
        elif left := self._feed(data):
            self._unparsed = left
            self._parse_part()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a request that is complete: the client may have closed its sending half alone."""
        if self.reading is not REQUEST or self.cycle is None or self.cycle.response_complete:
            return False
        if not self._unparsed:
            self.cycle.keep_alive = False
        self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.abort)
        return True

    def on_response_complete(self) -> None:
        """Go on with what waits behind the request that has been answered."""
        super().on_response_complete()
        self._resume_parsing()
        if self.rejection is not None and not self.has_earlier():
            error, self.rejection = self.rejection, None
            self.reject(error)

    def has_earlier(self) -> bool:
        """Return whether answers are due to requests before the one that is being read."""
        if self.pipeline:
            return True
        answering = self.answering
        if answering is None or answering.response_complete:
            return False
        return self.reading is not BODY or answering is not self.cycle

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, too; uvicorn tells the newest one alone."""
        answering = self.answering
        self.pipeline.clear()
        self._unparsed = b""
        super().connection_lost(exc)
        if answering is not None and answering is not self.cycle and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()

    def shutdown(self) -> None:
        """End with the answer to what has arrived, even while the connection is paused."""
        self._paused = False
        while self._can_parse():
            self._parse_part()
        super().shutdown()

    def pause(self) -> None:
        """Parse no further for now."""
        self._paused = True

    def resume(self) -> None:
        """Parse what has arrived meanwhile."""
        self._paused = False
        self._resume_parsing()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.answering = cycle
        super()._start_asgi_task(cycle, app)

    def _can_parse(self) -> bool:
        blocked = self._paused or len(self.pipeline) >= MAX_PIPELINED or self.transport.is_closing()
        return bool(self._unparsed) and not blocked

    def _resume_parsing(self) -> None:
        if not self._waits_for_turn and self._can_parse():
            self._waits_for_turn = True
            self._turns.wait(self._take_turn)

    def _take_turn(self) -> None:
        self._waits_for_turn = False
        try:
            if self._can_parse():
                self._parse_part()
        except Exception:
            self.transport.abort()  # as uvloop does where ``data_received`` fails
            raise

    def _parse_part(self) -> None:
        data = memoryview(self._unparsed)
        part = data[:PART_BYTES]
        if len(part) == len(data):  # before it is parsed: uvicorn may want to read no more
            self.flow.release()
        left = self._feed(part)
        self._unparsed = data[len(part) - len(left) :] or b""
        if self._unparsed:
            self.flow.hold()
            self._resume_parsing()

    def _feed(self, part: bytes | memoryview) -> bytes | memoryview:
        """Parse a part of the data; return what is left of it behind an Upgrade."""
        self._message_ended = False
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return part[upgrade.args[0] :]
        except httptools.HttpParserError:
            self.reject(InvalidRequest("this is not HTTP/1.1"))
        if self.reading is not REQUEST:
            # What came with the end of another message may be mostly that one's.
            self._check_size(0 if self._message_ended else len(part))
            self.continue_request()
        return b""

    def _ignore_upgrade(self) -> None:
        """Parse a head again without its ``Upgrade``, which a server may ignore (RFC 9110, 7.8)."""
        version = self.parser.get_http_version().encode()
        request_line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)
        rest = [header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(request_line + header_lines(rest) + b"\r\n")

    def _check_head(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            self._end(InvalidRequest("CONNECT is for proxies"))
        if len(self.url) > MAX_URL_BYTES:
            self._end(UriTooLong(f"the URL has {len(self.url)} bytes; at most {MAX_URL_BYTES} are read"))
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._end(InvalidRequest(f"there are {hosts} Host headers; HTTP/1.1 requires one"))

    def _head_is_too_large(self) -> bool:
        """Return whether a head is over the limit that has come in more than one part."""
        if self._measured is not self.headers or self._size <= MAX_HEAD_BYTES - PART_BYTES:
            return False
        return (
            len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES
        )

    def _check_size(self, size: int) -> None:
        if self._measured is not self.headers:
            self._measured, self._size = self.headers, 0
        self._size += size
        head_too_large = self.reading is HEADERS and self._size > MAX_HEAD_BYTES
        if len(self.headers) > MAX_HEADERS or head_too_large:
            self.reject(too_large())
        elif self._size > self.max_message_bytes:
            self.close()

    def close(self) -> None:
        """Close the connection; an application that still answers is told so before it writes."""
        self.transport.close()
        answering = self.answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()

    def _end(self, error: ServiceError) -> None:
        self.reject(error)
        raise Rejected


def too_large() -> HeadersTooLarge:
    """Return what a client gets whose headers, or trailers, are over the limits."""
    return HeadersTooLarge(f"the headers are over {MAX_HEAD_BYTES} bytes, or over {MAX_HEADERS} lines")
