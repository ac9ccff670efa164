"""What a request brings: its media type, its body within the limit, query options."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from service.errors import (
    BodyTooLarge,
    InvalidBody,
    InvalidOption,
    QueueFull,
    RequestAbandoned,
    UnsupportedEncoding,
)
from service.inputs.decoding import QUICK_BYTES, TakesLong
from service.inputs.image import Shape
from service.settings import Settings

# What zlib calls the formats: deflate is zlib's own, but some send it without its frame.
WINDOWS = {b"gzip": (31,), b"x-gzip": (31,), b"deflate": (15, -15)}
MAX_DIGITS = 18
MAX_MEMBERS = 8
MAX_OPTIONS = 32
JSON_PIXEL_BYTES = 24  # of a double with all its digits, a comma, a space and a bracket
FEW_IMAGES = 4
LARGE_BYTES = 1 << 20
MAX_LARGE_BYTES = 1 << 26  # of all bodies that are larger than that, while they are read


def find_header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """Return the value of the first header of this name, which is in lower case; empty if there is none."""
    for name, value in headers:
        if name == wanted:
            return value
    return b""


def media_type_of(content_type: bytes) -> bytes:
    """Return the media type in a ``Content-Type``, in lower case and without parameters (RFC 9110, 8.3.1)."""
    return content_type.partition(b";")[0].strip().lower()


def max_body_bytes(settings: Settings, shape: Shape) -> int:
    """Return how large a body of numbers may be, for a model that takes images of this shape."""
    return settings.max_body_bytes or max(LARGE_BYTES, FEW_IMAGES * JSON_PIXEL_BYTES * shape.size)


def announced_bytes(scope: Scope) -> int:
    """Return the length of a request's body as its head announces it; 0 if it does not."""
    length = find_header(scope["headers"], b"content-length")
    return int(length[:MAX_DIGITS]) if length.decode("latin-1").isdecimal() else 0


def check_announced(scope: Scope, limit: int) -> int:
    """Return ``announced_bytes``.

    Raises:
        BodyTooLarge: it has more than ``limit`` bytes.
    """
    announced = announced_bytes(scope)
    if announced > limit:
        raise _too_large(limit)
    return announced


def content_coding(scope: Scope) -> bytes:
    """Return how a request's body is compressed: a key of ``WINDOWS``, or empty if it is not.

    Raises:
        UnsupportedEncoding: it is in another way.
    """
    encoding = find_header(scope["headers"], b"content-encoding").strip().lower()
    if encoding not in (b"", b"identity", *WINDOWS):
        raise UnsupportedEncoding(
            f"Content-Encoding is {encoding[:40].decode('latin-1')}; send gzip or deflate"
        )
    return encoding if encoding in WINDOWS else b""


async def read_body(receive: Receive, limit: int, note: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the whole body of a request, as it was sent; ``note`` is called with its size so far.

    Raises:
        BodyTooLarge: it has more than ``limit`` bytes; no more than one chunk past the limit is kept.
        RequestAbandoned: the client has gone before its end.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestAbandoned
        body += message.get("body", b"")
        more = message.get("more_body", False)
        note(len(body))
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {limit} bytes")


def decompress(coding: bytes, limit: int, body: bytes, /, *, quick: bool) -> bytes:
    """Undo a content coding (RFC 9110, 8.4.1).

    Raises:
        TakesLong: it was to be ``quick``, and there are too many bytes for that.
        BodyTooLarge: there are more than ``limit`` bytes.
        InvalidBody: the body is not of this coding.
    """
    most = min(limit, QUICK_BYTES) if quick else limit
    for window in WINDOWS[coding]:
        decoded, rest = b"", body
        try:
            for _ in range(MAX_MEMBERS):  # of a gzip file, which mostly has one
                if not rest:
                    return decoded
                decoder = zlib.decompressobj(window)
                decoded += decoder.decompress(rest, most + 1 - len(decoded))
                if len(decoded) > most:
                    raise _too_large(limit) if most == limit else TakesLong
                if not decoder.eof:
                    raise InvalidBody("the compressed body is cut short")
                rest = decoder.unused_data
        except zlib.error:
            continue
    raise InvalidBody("the body is not compressed as its Content-Encoding says")


class LargeBodies:
    """The memory that large bodies have for themselves while they are read.

    Small ones are not counted: there are never more than there are connections.
    """

    def __init__(self) -> None:
        self._bytes = 0

    @contextmanager
    def account(self) -> Iterator[Callable[[int], None]]:
        """Yield what is called with the size of a body, as far as it is known, whenever that has grown.

        Raises:
            QueueFull: there is no memory for so large a body now.
        """
        taken = 0

        def grow(size: int) -> None:
            nonlocal taken
            more = size - taken
            if size <= LARGE_BYTES or more <= 0:
                return
            if self._bytes + more > MAX_LARGE_BYTES:
                raise QueueFull(f"there is no memory for a body of {size} bytes now; try again in a second")
            self._bytes += more
            taken = size

        try:
            yield grow
        finally:
            self._bytes -= taken


class Options(NamedTuple):
    """What the query string of a request asks for."""

    preview: bool = False
    close: bool = False
    draft: bool = False
    explain: bool = False
    top: int | None = None


NO_OPTIONS = Options()


def read_options(query: bytes) -> Options:
    """Read a query string, such as ``preview=true``; what it does not name is off.

    Raises:
        InvalidOption: an option has a value that it does not take, or there are far too many.
    """
    if not query:
        return NO_OPTIONS
    options: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_OPTIONS)
    except ValueError:
        raise InvalidOption(
            f"the query has over {MAX_OPTIONS} options; send only those that are documented"
        ) from None
    for name, value in pairs:
        if name == "top":
            options[name] = _read_top(value)
        elif name in Options._fields:
            if value not in ("true", "false"):
                raise InvalidOption(f"{name} is {value[:20]!r}; expected true or false")
            options[name] = value == "true"
    return Options(**options)


def _read_top(value: str) -> int:
    is_number = value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS
    if not is_number or int(value) < 1:
        raise InvalidOption(f"top is {value[:20]!r}; expected a number of classes, such as 5")
    return int(value)
