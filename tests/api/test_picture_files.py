"""What a picture's file has beside its pixels decides nothing, and no way to store them costs much."""

from __future__ import annotations

import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.support.http import post, problem_of
from tests.support.pictures import enlarged, png, save
from tests.support.process import resident_bytes

PREVIEW = "/predict?preview=true"


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG file."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


MUCH = bytes(2 << 20)
PNG_METADATA = {
    "a profile that is none": chunk(b"iCCP", b"name\0\0nothing"),
    "a profile of 2 MB": chunk(b"iCCP", b"name\0\0" + zlib.compress(MUCH)),
    "a text of 2 MB": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(MUCH)),
    "a text that is cut": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(MUCH)[:50]),
    "XMP of 2 MB": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(MUCH)),
    "a text in a way that is none": chunk(b"zTXt", b"Comment\0\7xx"),
    "a thousand texts": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000))) * 1000,
    "an animation that is none": chunk(b"acTL", b"1") + chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", b""),
    "values that are cut": b"".join(chunk(kind, b"") for kind in (b"gAMA", b"pHYs", b"cHRM", b"sRGB")),
    "EXIF that is none": chunk(b"eXIf", b"nothing of the kind"),
    "EXIF that goes in circles": chunk(
        b"eXIf", bytes.fromhex("49492a0008000000010069870400010000000800000008000000")
    ),
    "chunks that nobody knows": chunk(b"abCd", MUCH[:100_000]) * 3,
}
JPEG_METADATA = {
    "EXIF that is none": segment(0xE1, b"Exif\0\0nothing of the kind"),
    "EXIF without an end": segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta"),
    "a profile in parts that lack": segment(0xE2, b"ICC_PROFILE\0\x05\x09junk"),
    "pictures that are not there": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
    "Photoshop's, cut": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\xff\xff"),
    "Adobe's, cut": segment(0xEE, b"Adobe\0"),
    "comments": segment(0xFE, b"x" * 65_000) * 8,
}


@pytest.fixture
def written(digits):
    """A digit, black on white, of 280 x 280 pixels."""
    return enlarged(digits[0], 0)


@pytest.mark.parametrize("kind", PNG_METADATA)
def test_a_png_is_read_whatever_it_says_of_itself(live_server, written, kind):
    plain = save(written)
    end_of_header = 8 + 25
    told = plain[:end_of_header] + PNG_METADATA[kind] + plain[end_of_header:]

    assert (
        post(live_server, told, "image/png", path=PREVIEW).json()
        == post(live_server, plain, "image/png", path=PREVIEW).json()
    )


@pytest.mark.parametrize("kind", JPEG_METADATA)
def test_a_jpeg_is_read_whatever_it_says_of_itself(live_server, written, kind):
    plain = save(written, "JPEG")
    told = plain[:2] + JPEG_METADATA[kind] + plain[2:]

    assert (
        post(live_server, told, "image/jpg", path=PREVIEW).json()
        == post(live_server, plain, "image/jpeg", path=PREVIEW).json()
    )


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_jpeg_that_lacks_its_end_marker_is_read_but_not_one_that_lacks_pixels(
    live_server, written, progressive
):
    whole = save(written, "JPEG", progressive=progressive)

    ended = post(live_server, whole, "image/jpeg", path=PREVIEW).json()
    endless = post(live_server, whole[:-2], "image/jpeg", path=PREVIEW).json()
    half = post(live_server, whole[: len(whole) // 2], "image/jpeg")

    assert endless == ended
    assert problem_of(half) == (400, "invalid-body")
    assert "truncated" in half.json()["detail"]


def stored(levels: np.ndarray, depth: int, colour: int, key: bytes) -> bytes:
    """A PNG file of so many bits a channel, in which one colour is transparent."""
    if colour == 2:
        levels = np.repeat(levels, 3, axis=1)
    if depth == 16:
        rows = levels.astype(">u2").view(np.uint8).reshape(len(levels), -1)
    elif depth == 8:
        rows = levels.astype(np.uint8)
    else:
        bits = np.unpackbits(levels.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(len(levels), -1), axis=-1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 280, 280, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", key), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize(
    ("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)], ids=str
)
@pytest.mark.parametrize("ink_is_black", [True, False], ids=["black ink", "white ink"])
def test_a_colour_that_is_transparent_shows_the_paper(live_server, written, depth, colour, ink_is_black):
    """Ink on nothing is what it is on paper: on white paper, or on black if it is white itself."""
    most = 2**depth - 1
    ink = np.asarray(written) < 128
    levels = np.where(ink == ink_is_black, 0, most)
    paper = int(levels[0, 0])
    picture = stored(levels, depth, colour, struct.pack(">H", paper) * (3 if colour == 2 else 1))
    opaque = save(Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)))

    seen = post(live_server, picture, "image/png", path=PREVIEW).json()

    np.testing.assert_allclose(
        seen["image"], post(live_server, opaque, "image/png", path=PREVIEW).json()["image"], atol=0.01
    )


def test_a_jpeg_of_many_scans_is_refused_and_costs_nothing(live_server, written):
    progressive = save(written.convert("RGB"), "JPEG", progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    for scans in (100, 1000):
        answer = post(live_server, progressive[:-2] + last * scans + b"\xff\xd9", "image/jpeg")

        assert problem_of(answer) == (413, "picture-too-large")
        assert "scans; at most 50 are read" in answer.json()["detail"]
    assert post(live_server, progressive, "image/jpeg").json()["digit"] == 7


def test_pictures_leave_neither_lines_nor_memory(start_server):
    """Each of these has another size, of which Pillow warns; Python would remember each warning."""
    server = start_server()
    sizes = [(10_000 + i % 300, 9_000 + i // 300) for i in range(4000)]
    random.Random(0).shuffle(sizes)

    def send(some: list[tuple[int, int]]) -> int:
        for width, height in some:
            answer = post(server, png(width, height), "image/png")
            assert problem_of(answer) == (413, "picture-too-large")
        return resident_bytes(server.process.pid)

    lines = len(server.lines())
    before = send(sizes[:1000])
    grown = send(sizes[1000:]) - before

    assert len(server.lines()) == lines
    assert "Warning" not in server.log_text()
    assert grown < 3000 * 250, f"{grown / 3000:.0f} bytes for each picture"


def test_a_file_of_far_too_many_parts_is_refused_and_costs_nothing(live_server, written):
    picture, photo = save(written), save(written, "JPEG")
    head, rest = picture[:33], picture[33:]  # the signature and IHDR
    files = {
        "texts": (head + chunk(b"tEXt", b"") * 1_000_000 + rest, "image/png"),
        "pixels": (head + chunk(b"IDAT", b"") * 1_000_000 + rest, "image/png"),
        "EXIF": (head + chunk(b"eXIf", b"") * 20_000 + rest, "image/png"),
        "comments": (photo[:2] + segment(0xFE, b"") * 2_000_000 + photo[2:], "image/jpeg"),
        "tables": (photo[:2] + segment(0xC4, bytes(17)) * 100_000 + photo[2:], "image/jpeg"),
    }
    for name, (file, kind) in files.items():
        answer = post(live_server, file, kind)

        assert problem_of(answer) == (413, "picture-too-large"), name
        assert "stored in over 16384 parts" in answer.json()["detail"], name


@pytest.mark.parametrize("parts", [1, 300, 2000])
def test_pixels_may_come_in_many_parts(live_server, written, parts):
    picture = save(written)
    start = picture.index(b"IDAT") - 4
    pixels = picture[start + 8 : start + 8 + int.from_bytes(picture[start : start + 4])]
    step = -(-len(pixels) // parts)
    chunks = b"".join(chunk(b"IDAT", pixels[at : at + step]) for at in range(0, len(pixels), step))

    answer = post(live_server, picture[:start] + chunks + chunk(b"IEND", b""), "image/png")

    assert answer.json()["digit"] == 7
