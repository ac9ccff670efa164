"""Bodies that are malformed, oversized or made to harm: each with a name and a content type."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.pictures import bar, png

JSON, BINARY, FORM = "application/json", "application/octet-stream", "multipart/form-data; boundary=x"
PICTURES = ("image/png", "image/jpeg", "image/webp")
ZEROS = b"0," * 783 + b"0"
GOOD = b'{"image":[%s]}' % ZEROS


class MalformedBody(NamedTuple):
    """One body."""

    name: str
    content_type: str
    body: bytes


def malformed_bodies() -> list[MalformedBody]:
    """Every body, in an order that never changes; no two have the same name."""
    rules = (numbers, strings, structures, nesting, encodings, compressed, binaries, pictures, forms, damaged)
    return [body for rule in rules for body in rule()]


def numbers() -> Iterator[MalformedBody]:
    """Numbers that are none, none that fit, and none that are pixels; first, in the middle and last."""
    values = [
        "1e400",
        "-1e400",
        "1e-400",
        "1e309",
        "1.7976931348623157e308",
        "1e39",
        "-0.0",
        "-1",
        "2",
        "255",
        "1.0000001",
        "-1e-9",
        "4.9e-324",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "0x10",
        "0b1",
        "010",
        "+1",
        ".5",
        "5.",
        "1e",
        "1e+",
        "--1",
        "1_000",
        "NaN",
        "-NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "inf",
        "null",
        "true",
        "false",
        "{}",
        "[]",
        "[[]]",
        "[0]",
        '{"a":0}',
        '"0"',
        '""',
        "''",
        "undefined",
    ]
    values += ["9" * 400, "-" + "9" * 5000, "0." + "0" * 5000 + "1", "1" + "0" * 400, "1e" + "9" * 100]
    for value, place in itertools.product(values, (0, 391, 783)):
        pixels = [*["0"] * place, value, *["0"] * (783 - place)]
        yield MalformedBody(f"{value[:12]} at {place}", JSON, f'{{"image":[{",".join(pixels)}]}}'.encode())


def strings() -> Iterator[MalformedBody]:
    """Text where numbers belong, with what text can bring."""
    texts = [
        "\\ud800",
        "\\udc00",
        "\\udc00\\ud800",
        "\\u0000",
        "\\u202e",
        "\\x41",
        "\\u12",
        "\\",
        "\\uD83D\\uDE00",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%s%n",
        "../../etc/passwd",
        "';DROP",
        "/*",
    ]
    for text in texts:
        yield MalformedBody(f"the image is {text}", JSON, b'{"image":"%s"}' % text.encode())
        yield MalformedBody(f"a member is {text}", JSON, b'{"%s":1,"image":[%s]}' % (text.encode(), ZEROS))
    for byte in (0x00, 0x1F, 0x7F, 0x80, 0xC0, 0xED, 0xF8, 0xFE, 0xFF):
        yield MalformedBody(f"byte {byte:#x} in a string", JSON, b'{"image":"%c"}' % byte)
        yield MalformedBody(f"byte {byte:#x} at the end", JSON, GOOD + bytes([byte]))
    yield MalformedBody("a long string", JSON, b'{"image":"%s"}' % (b"a" * 900_000))
    yield MalformedBody("a long name", JSON, b'{"%s":1}' % (b"a" * 900_000))
    yield MalformedBody("a script", JSON, b'{"<script>alert(1)</script>":1}')


def structures() -> Iterator[MalformedBody]:
    """Documents of another shape."""
    shapes = [
        "{}",
        "[]",
        "0",
        "-1",
        "null",
        "true",
        '""',
        "[{}]",
        "[[]]",
        '{"image":{}}',
        '{"image":[{}]}',
        '{"image":[[]]}',
        '{"images":[]}',
        '{"images":{}}',
        '{"images":[[]]}',
        '{"images":[0]}',
        '{"images":null}',
        '{"images":[null]}',
        '{"Image":[]}',
        '{"image":[],"images":[]}',
        '{"image":1,"image":1}',
        '{"images":1,"images":1}',
        '{"inputs":[]}',
        "{,}",
        "[,]",
        '{"image":[0,]}',
        '{"image":[,0]}',
        '{"image":[0',
        "0]}",
        '{"image":[0;0]}',
        '{"image":}',
        '{"image"}',
        "{image:[0]}",
        "{'image':[0]}",
        '{"image":[0]}}',
        '{"image":[0]]}',
        "}{",
        "][",
        ":",
        ",",
        "//",
        "/**/",
        "<xml/>",
        "---",
        "a=b",
    ]
    for shape in shapes:
        yield MalformedBody(f"shape {shape}", JSON, shape.encode())
    for count in (0, 1, 27, 28, 29, 783, 785, 1568, 300_000):
        yield MalformedBody(f"{count} pixels", JSON, json.dumps({"image": [0] * count}).encode())
        yield MalformedBody(f"{count} rows", JSON, json.dumps({"image": [[0]] * count}).encode())
        yield MalformedBody(f"{count} images", JSON, json.dumps({"images": [[0]] * count}).encode())
    yield MalformedBody("twice the image", JSON, b'{"image":[%s],"image":[%s]}' % (ZEROS, ZEROS))
    yield MalformedBody("two documents", JSON, GOOD + GOOD)
    yield MalformedBody("lines", JSON, GOOD + b"\n" + GOOD)
    yield MalformedBody("many members", JSON, json.dumps({str(n): n for n in range(60_000)}).encode())
    yield MalformedBody(
        "names that collide", JSON, json.dumps({str(n << 61): 0 for n in range(10_000)}).encode()
    )
    yield MalformedBody("space without end", JSON, b" " * 900_000 + GOOD)
    yield MalformedBody("nothing but space", JSON, b" \r\n\t" * 200_000)


def nesting() -> Iterator[MalformedBody]:
    """Depth, open and closed."""
    for depth in (2, 30, 900, 1025, 5_000, 100_000):
        for opening, closing in ((b"[", b"]"), (b'{"image":', b"}"), (b'{"a":[', b"]}")):
            name = f"{depth} times {opening.decode()}"
            yield MalformedBody(f"{name}, open", JSON, opening * depth)
            yield MalformedBody(f"{name}, closed", JSON, opening * depth + b"0" + closing * depth)
            yield MalformedBody(
                f"{name}, as a pixel", JSON, b'{"image":[%s]}' % (opening * depth + b"0" + closing * depth)
            )


def encodings() -> Iterator[MalformedBody]:
    """The right characters as the wrong bytes."""
    text = GOOD.decode()
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037", "punycode"):
        yield MalformedBody(
            f"in {encoding}", JSON, text.encode(encoding) if encoding != "utf-7" else b"+/v8-" + GOOD
        )
        yield MalformedBody(f"a charset of {encoding}", f"{JSON}; charset={encoding}", text.encode(encoding))
    for overlong in (b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        yield MalformedBody(
            f"overlong {overlong.hex()}", JSON, b'{"image":[%s],"a":"%s"}' % (ZEROS, overlong)
        )


def compressed() -> Iterator[MalformedBody]:
    """Packed, and bombs."""
    bomb = gzip.compress(bytes(50_000_000))
    for name, body in {
        "gzip": gzip.compress(GOOD),
        "zlib": zlib.compress(GOOD),
        "a gzip bomb": bomb,
        "a bomb in a bomb": gzip.compress(bomb),
    }.items():
        for content_type in (JSON, BINARY, "application/gzip", PICTURES[0]):
            yield MalformedBody(f"{name} as {content_type}", content_type, body)


def binaries() -> Iterator[MalformedBody]:
    """Bytes of every length but the right ones, and floats that are no pixels."""
    for length in (0, 1, 783, 785, 1568, 3135, 3137, 6272, 900_000):
        yield MalformedBody(f"{length} bytes", BINARY, bytes(length))
    for value in (float("nan"), float("inf"), float("-inf"), -1.0, 1.5, 255.0, 3.4e38, -1e-30):
        yield MalformedBody(f"784 floats of {value}", BINARY, struct.pack("<f", value) * 784)
    yield MalformedBody("floats of the other end", BINARY, struct.pack(">f", 0.7) * 784)
    yield MalformedBody("signalling NaN", BINARY, b"\x01\x00\xa0\x7f" * 784)


def pictures() -> Iterator[MalformedBody]:
    """Pictures cut short, of another kind than they say, too large, and two things at once."""
    files = {kind: bar(kind.partition("/")[2]) for kind in PICTURES}
    for kind, data in files.items():
        for share in (0, 1, 4, 8, 12, 20, 50, 90, 99):
            yield MalformedBody(f"{share} % of {kind}", kind, data[: len(data) * share // 100])
        for other in (*PICTURES, JSON, BINARY, "image/gif", "image/svg+xml", "image/tiff"):
            if other != kind:
                yield MalformedBody(f"{kind} as {other}", other, data)
        yield MalformedBody(f"{kind}, then a script", kind, data + b"<script>alert(1)</script>")
        yield MalformedBody(f"JSON, then {kind}", JSON, GOOD + data)
        yield MalformedBody(f"{kind}, then a zip", kind, data + b"PK\x05\x06" + bytes(18))
    for width, height in (
        (0, 0),
        (0, 5),
        (1, 1),
        (1, 60_000),
        (60_000, 60_000),
        (2**31 - 1, 2**31 - 1),
        (2**31, 1),
    ):
        yield MalformedBody(f"PNG of {width} x {height}", "image/png", png(width, height, bytes(100)))
    yield MalformedBody("PNG bomb", "image/png", png(60_000, 60_000, bytes(60_000_000)))
    yield MalformedBody("PNG just below the limit", "image/png", png(4096, 4096, bytes(4097 * 4096)))
    yield MalformedBody("PNG of a colour that is none", "image/png", png(5, 5, bytes(30), colour=7))
    text = b"\x00\x00\x00\x08zTXtabcdefgh\x00\x00\x00\x00"
    yield MalformedBody("PNG with a bad chunk", "image/png", png(5, 5, bytes(30), extra=text))
    for magic in (
        b"GIF89a",
        b"BM",
        b"II*\x00",
        b"%!PS-Adobe",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF",
    ):
        for kind in PICTURES:
            yield MalformedBody(f"{magic[:6]!r} as {kind}", kind, magic + bytes(100))


def forms() -> Iterator[MalformedBody]:
    """Forms that are broken, empty or full."""
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%s\r\n'
    end = b"--x--\r\n"
    for name, body in {
        "empty": b"",
        "no part": end,
        "no end": part % b"abc",
        "no picture": part % b"abc" + end,
        "two files": part % b"a" + part % b"b" + end,
        "nine files": part % b"a" * 9 + end,
        "ten thousand parts": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 10_000 + end,
        "no disposition": b"--x\r\n\r\nabc\r\n" + end,
        "no name": b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n" + end,
        "a path for a name": part.replace(b"a.png", b"../../../etc/passwd") % b"abc" + end,
        "a long header": b"--x\r\nContent-Disposition: " + b"a" * 500_000 + b"\r\n\r\n" + end,
        "bad bytes in a name": part.replace(b"a.png", b"\xff\xfe") % b"abc" + end,
        "another boundary": (part % b"abc" + end).replace(b"--x", b"--y"),
    }.items():
        yield MalformedBody(f"form: {name}", FORM, body)
    for content_type in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=x",
    ):
        yield MalformedBody(f"form as {content_type}", content_type, part % b"abc" + end)


def damaged(count: int = 60) -> Iterator[MalformedBody]:
    """Good bodies with a few bytes changed, the same ones each time."""
    random_ = random.Random(7)
    good = (
        (JSON, GOOD),
        ("image/png", bar("png")),
        ("image/jpeg", bar("jpeg")),
        ("image/webp", bar("webp")),
    )
    for number in range(count):
        content_type, body = good[number % len(good)]
        bytes_ = bytearray(body)
        for _ in range(random_.randint(1, 4)):
            bytes_[random_.randrange(len(bytes_))] = random_.randrange(256)
        yield MalformedBody(f"damaged {number} as {content_type}", content_type, bytes(bytes_))
