"""The file of a form: ``multipart/form-data`` (RFC 7578).

python-multipart finds the parts. Nothing in a form chooses how it is read: names are not decoded, and a
charset or a transfer encoding, which RFC 7578 deprecates, is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import InvalidBody

FORM = b"multipart/form-data"
MAX_PARTS = 16
FILE_NAME = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)  # with a star as RFC 8187 has it
FIELD_NAME = re.compile(rb';\s*name\s*=\s*"?([^";]*)', re.IGNORECASE)


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: list[bytes] = field(default_factory=list)
    complete: bool = False

    def is_file(self, fields: Collection[bytes]) -> bool:
        """Whether it is a file: by its own name, an image's type or its field, and not left empty."""
        disposition = self.headers.get(b"content-disposition", b"")
        named = FILE_NAME.search(disposition) is not None
        image = self.headers.get(b"content-type", b"").lower().startswith(b"image/")
        field = FIELD_NAME.search(disposition)
        known = field is not None and field[1] in fields
        return self.complete and (named or image or known) and any(self.data)


def read_form_file(content_type: bytes, body: bytes, fields: Collection[bytes] = ()) -> bytes:
    """Return the one file in a form, whatever its field is called.

    What is in one of these ``fields`` is a file even if it has no file's name: ``curl -F data='<a.png'``.

    Raises:
        InvalidBody: the body is no form, or has not exactly one file.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise InvalidBody("the form can't be read: its Content-Type has no boundary")
    parts: list[_Part] = []
    try:
        _parse(boundary, body, parts)
    except FormParserError as error:
        raise InvalidBody(f"the form can't be read: {error}") from None
    files = [part for part in parts if part.is_file(fields)]
    if len(files) != 1:
        raise InvalidBody(f"the form has {len(files)} files; send one: curl -F image=@picture.png")
    return b"".join(files[0].data)


def _parse(boundary: bytes, body: bytes, parts: list[_Part]) -> None:
    name: list[bytes] = []
    value: list[bytes] = []

    def begin() -> None:
        if len(parts) == MAX_PARTS:
            raise FormParserError(f"it has over {MAX_PARTS} parts")
        parts.append(_Part())

    def end_header() -> None:
        parts[-1].headers[b"".join(name).lower()] = b"".join(value)
        name.clear()
        value.clear()

    def end() -> None:
        parts[-1].complete = True

    MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": lambda data, start, end: name.append(data[start:end]),
            "on_header_value": lambda data, start, end: value.append(data[start:end]),
            "on_header_end": end_header,
            "on_part_data": lambda data, start, end: parts[-1].data.append(data[start:end]),
            "on_part_end": end,
        },
    ).write(body)
