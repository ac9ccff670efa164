"""The fast path: one prediction from bytes to bytes, without ASGI in between.

uvicorn gives every request a scope, a task, two events and two rounds of header checks, and ASGI takes it
through a stack of coroutines: together that costs more than decoding an image and computing its class.
A ``POST /predict`` with numbers needs none of it. Its bytes go from uvicorn's parser to the reader and the
batcher, and the answer goes back as one write. ``python -m benchmarks`` measures what that is worth.

Which requests take it is decided from their head alone, and what takes it is answered on it. Everything else
takes the general path through the application: other routes, pictures, forms, bodies that are compressed,
large or wait for a 100, pipelined requests, and clients that do not read. A chunked body has no length in its
head; one that grows beyond what is taken here is handed over. Both paths share the readers, the batcher, the
errors and the metrics, and answer alike; the tests send every body on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from starlette.responses import Response

from service.api.body import NO_OPTIONS, media_type_of, read_options
from service.api.predict import NUMBERS, PATH, respond, submit_many
from service.api.request_context import Header, RequestContext
from service.api.state import Service
from service.errors import QueueFull, RequestAbandoned
from service.inference.prediction import Prediction
from service.inputs.image import Image

URL, METHOD = PATH.encode(), b"POST"
# Below uvicorn's high-water mark of 64 KiB: it never has to stop reading for us.
MAX_BODY_BYTES = 1 << 15
CYCLE = ("body", "disconnected", "keep_alive", "response_complete")
# The value of each of these with which the fast path takes a request all the same, if there is one.
TAKEN_WITH = {b"content-encoding": b"identity", b"transfer-encoding": b"chunked", b"expect": None}


def find_media_type(url: bytes, method: bytes, headers: list[Header]) -> bytes | None:
    """Return the media type of a request that the fast path takes; None for any other."""
    # A client leaves the fragment to itself.
    if method != METHOD or (url != URL and (url.partition(b"?")[0] != URL or b"#" in url)):
        return None
    length, hosts, content_type = -1, 0, b""
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"content-type":
            content_type = content_type or value
        elif name == b"host":
            hosts += 1
        elif name in TAKEN_WITH:
            if value.lower() != TAKEN_WITH[name]:
                return None
            if name == b"transfer-encoding":
                length = 0
    media_type = content_type if content_type in NUMBERS else media_type_of(content_type)
    plain = media_type in NUMBERS and 0 <= length <= MAX_BODY_BYTES and hosts == 1
    return media_type if plain else None


class Connection(Protocol):
    """What a request on the fast path needs of uvicorn's protocol, and of ours."""

    url: bytes
    headers: list[Header]
    transport: asyncio.Transport

    @property
    def keeps_alive(self) -> bool: ...
    @property
    def backlog(self) -> bool: ...
    def write_response(self, context: RequestContext, response: Response, *, close: bool) -> None: ...
    def on_response_complete(self) -> None: ...
    def pause_after_rejection(self, body_bytes: int, *, full: bool) -> None: ...


class FastRequest:
    """One request on the fast path.

    uvicorn's protocol takes it for its own RequestResponseCycle, of which it uses ``CYCLE`` and
    ``message_event``. The batcher takes it for the reply to its image: a future costs a turn of the loop.
    """

    __slots__ = (
        "_connection",
        "_context",
        "_headers",
        "_many",
        "_media_type",
        "_options",
        "_seen",
        "_service",
        *CYCLE,
    )

    def __init__(self, connection: Connection, service: Service, media_type: bytes) -> None:
        self.body = bytearray()
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = connection.keeps_alive
        self._connection = connection
        self._service = service
        self._media_type = media_type
        self._headers = connection.headers
        self._options = NO_OPTIONS
        self._seen: Image | None = None
        self._context = RequestContext(service.tracker, self._headers)
        self._many: asyncio.Future[list[Prediction]] | None = None

    @property
    def message_event(self) -> FastRequest:
        """What uvicorn sets when the connection is lost."""
        return self

    def set(self) -> None:
        """Give up what is left to do if the client has gone; it may be told so more than once."""
        if self.response_complete or not self.disconnected:
            return
        if self._many is not None:
            self._many.cancel()
        self._abandon()

    def begin(self) -> None:
        """Decode the body, which is whole by now, and queue its images."""
        service = self._service
        try:
            service.authorize(self._headers)
            service.batcher.check_room()
            self._options = options = read_options(self._connection.url[len(URL) + 1 :])
            pixels = service.numbers.read(self._media_type, bytes(self.body))
            if options.preview:
                self._seen = pixels
            if pixels.ndim == 1:
                service.batcher.enqueue(pixels, self, draft=options.draft)
            else:
                self._many = submit_many(service, pixels, "images", draft=options.draft)
                self._many.add_done_callback(self._finish)
        except Exception as error:
            self.set_exception(error)
            if isinstance(error, QueueFull):
                self._connection.pause_after_rejection(0, full=True)

    def withdraw(self) -> list[Header]:
        """Leave the request to the general path; return its headers."""
        self.response_complete = True
        self._context.withdraw()
        return self._headers

    def done(self) -> bool:
        """Return whether there is an answer, or nobody to read one."""
        return self.response_complete

    def set_result(self, answer: Prediction | Sequence[Prediction]) -> None:
        """Answer with a prediction, or with a list of them."""
        options = self._options
        try:
            response = respond(answer, self._seen, options.top, explain=options.explain)
        except Exception as error:
            self.set_exception(error)
        else:
            self.keep_alive = self.keep_alive and not options.close
            self._write(response)

    def set_exception(self, error: Exception) -> None:
        """Answer with an error."""
        self._write(self._context.error_response(PATH, "POST", error))

    def _finish(self, many: asyncio.Future[list[Prediction]]) -> None:
        if self.response_complete or many.cancelled():
            return
        error = many.exception()
        if error is None:
            self.set_result(many.result())
        else:
            assert isinstance(error, Exception)
            self.set_exception(error)

    def _abandon(self) -> None:
        self.response_complete = True
        self._context.finish(PATH, "POST", RequestAbandoned.status)

    def _write(self, response: Response) -> None:
        connection = self._connection
        if connection.transport.is_closing():
            self._abandon()
            return
        close = self._service.tracker.draining or not self.keep_alive
        connection.write_response(self._context, response, close=close)
        self.response_complete = True
        self._context.finish(PATH, "POST", response.status_code)
        if close:
            connection.transport.close()
        # Without a timer for the idle connection: ``check_timeouts`` closes it.
        if connection.backlog:
            connection.on_response_complete()
