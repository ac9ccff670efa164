"""``multipart/form-data``: what ``curl -F image=@digit.png`` and the forms of web pages send."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.errors import InvalidBody

MAX_FIELDS = 8


async def read_form_file(content_type: bytes, body: bytes) -> bytes:
    """Return the one file in a form, whatever its field is called.

    Raises:
        InvalidBody: the body is no form, or has not exactly one file.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        Headers(raw=[(b"content-type", content_type)]), stream(), max_files=MAX_FIELDS, max_fields=MAX_FIELDS
    )
    parser.spool_max_size = len(body) + 1  # the body is in memory already; never write it to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidBody(f"the form can't be read: {error.message}") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if len(files) != 1:
        raise InvalidBody(f"the form has {len(files)} files; send one: curl -F image=@digit.png")
    try:
        return await files[0].read()
    finally:
        await form.close()
