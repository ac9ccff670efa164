"""Forms: what is a file in them, and that nothing in them chooses how they are read."""

from __future__ import annotations

import pytest
import requests

from tests.support.http import post, problem_of
from tests.support.pictures import enlarged, save

TYPE = "multipart/form-data; boundary=x"


def form(*parts: tuple[bytes, bytes]) -> bytes:
    """A form, given the headers and the data of each part."""
    return b"".join(b"--x\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + b"--x--\r\n"


@pytest.fixture
def picture(digits):
    """A seven."""
    return save(enlarged(digits[0], 0))


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="image"; filename="seven.png"',
        b'Content-Disposition: form-data; filename="seven.png"',
        b"content-disposition: form-data;name=image;FileName=seven.png\r\nContent-Type: text/plain",
        b"Content-Disposition: form-data; name=\"i\"; filename*=UTF-8''sieben%20%E2%82%AC.png",
        b"Content-Disposition: form-data; name=\"i\"; filename*=punycode''x",
        b'Content-Disposition: form-data; name="image"\r\nContent-Type: image/png',
        b"Content-Type: image/jpg",
        b'Content-Disposition: form-data; name="\xff\xfe"; filename="\xff.png"',
        b'Content-Disposition: form-data; name="a"; filename="a"\r\nContent-Transfer-Encoding: base64',
    ],
)
def test_a_part_with_a_file_name_or_of_an_image_type_is_a_file(live_server, picture, head):
    note = b'Content-Disposition: form-data; name="note"'
    empty = b'Content-Disposition: form-data; name="other"; filename=""\r\nContent-Type: image/png'

    answer = post(live_server, form((note, b"hello"), (empty, b""), (head, picture)), TYPE)

    assert (answer.status_code, answer.json().get("digit")) == (200, 7), answer.text


@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna", "utf-7", "zlib", "none-such", "utf-16"])
def test_no_charset_of_a_form_is_looked_at(live_server, picture, charset):
    """Some of these take quadratic time, and some fail for every text."""
    field = f'Content-Disposition: form-data; name="_charset_"\r\nContent-Type: text/plain; charset={charset}'
    file = b'Content-Disposition: form-data; name="a"; filename="a-b-c"'

    answer = post(
        live_server,
        form((field.encode(), charset.encode() + b"-ab" * 250_000), (file, picture)),
        f"{TYPE}; charset={charset}",
    )

    assert (answer.status_code, answer.json().get("digit")) == (200, 7)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (form((b'Content-Disposition: form-data; name="a"; filename="a"', b"")), "the form has 0 files"),
        (form(*[(b"A: b", b"")] * 17), "the form can't be read: it has over 16 parts"),
        (form((b"A: b\r\n" * 9 + b"A: b", b"")), "the form can't be read: Maximum header count exceeded"),
        (form((b"A: " + b"b" * 9000, b"")), "the form can't be read: Maximum header size exceeded"),
        (form((b'Content-Disposition: form-data; filename="a"', b"data"))[:-9], "the form has 0 files"),
    ],
    ids=["no data", "parts", "headers", "long header", "cut"],
)
def test_a_form_that_is_none_is_told_why(live_server, body, detail):
    answer = post(live_server, body, TYPE)

    assert problem_of(answer) == (400, "invalid-body")
    assert answer.json()["detail"].startswith(detail)


def test_a_browser_that_sends_two_file_fields_and_fills_one_gets_its_answer(live_server, picture):
    files = {"camera": ("", b"", "application/octet-stream"), "file": ("seven.png", picture, "image/png")}

    answer = requests.post(f"{live_server.url}/predict", files=files, timeout=10)

    assert answer.json()["digit"] == 7
