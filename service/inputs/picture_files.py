"""The structure of picture files: what of them Pillow is given, and whether they take long to decode."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from service.errors import PictureTooLarge

JPEG = b"\xff\xd8"
WEBP = b"RIFF"
SCAN = b"\xff\xda"
END = b"\xff\xd9"
COMMENT, ADOBE, ADOBE_BYTES = 0xFE, 0xEE, 16
APPLICATION_SEGMENTS = range(0xE2, 0xF0)  # but those of JFIF and EXIF

# Pillow reads each part of a file in Python, and each scan is a pass over the whole picture. Encoders write
# some ten scans, and PNG's pixels in parts of 8 KiB or more.
MAX_SCANS, MAX_PARTS = 50, 1 << 14
FEW_SCANS, FEW_PARTS = 16, 1 << 8  # take a few milliseconds, if there are as few pixels

PNG = b"\x89PNG\r\n\x1a\n"
# The chunks of a PNG file that its pixels need, and the one that says which way is up.
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")


def without_metadata(data: bytes) -> bytes:
    """Return a picture file without what is about it: comments, profiles, animations, previews.

    Pillow refuses pictures for what is wrong with those. Of EXIF, which says which way is up, it does not.

    Raises:
        PictureTooLarge: it has far more parts than an encoder writes.
    """
    if data.startswith(PNG):
        return b"".join((PNG, *(data[at:end] for kind, at, end in _chunks(data) if kind in CHUNKS)))
    return _without_segments(data) if data.startswith(JPEG) else data


def count_scans(data: bytes) -> int:
    """Return how often a JPEG file passes over its picture; a preview in its EXIF data does not count."""
    return data.count(SCAN, max((end for _, _, end in _segments(data)), default=len(JPEG)))


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP file as its head tells them (RFC 9649, 2.5 to 2.7), else zeros.

    Pillow takes the memory for two such pictures, and mostly clears it, before it says how large they are.
    """
    kind = data[12:16] if data.startswith(WEBP) else b""
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        sides = int.from_bytes(data[21:25], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        sides = int.from_bytes(data[26:30], "little")
        return sides & 0x3FFF, sides >> 16 & 0x3FFF
    return 0, 0


def takes_long(data: bytes) -> bool:
    """Return whether a file takes far longer to decode than its pixels tell: it has many parts, or scans."""
    if data.startswith(PNG):
        return _has_many(_chunks(data))
    return data.startswith(JPEG) and (_has_many(_segments(data)) or count_scans(data) > FEW_SCANS)


def _has_many(parts: Iterator[object]) -> bool:
    return next(islice(parts, FEW_PARTS, None), None) is not None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment of a JPEG file before the first scan."""
    at, count = len(JPEG), 0
    while data[at : at + 1] == b"\xff" and data[at : at + 2] not in (SCAN, END):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield data[at + 1], at, end
        at, count = end, _counted(count)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each chunk of a PNG file."""
    at, count, kind = len(PNG), 0, b""
    while kind != b"IEND" and at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield kind, at, end
        at, count = end, _counted(count)


def _counted(parts: int) -> int:
    if parts == MAX_PARTS:
        raise PictureTooLarge(f"the picture is stored in over {MAX_PARTS} parts; save it again with fewer")
    return parts + 1


def _without_segments(data: bytes) -> bytes:
    kept, end = [JPEG], len(JPEG)
    for marker, start, end in _segments(data):
        is_metadata = marker == COMMENT or marker in APPLICATION_SEGMENTS
        # Adobe's says what the colours are. One that is too short does not.
        if not is_metadata or (marker == ADOBE and end - start >= ADOBE_BYTES):
            kept.append(data[start:end])
    return b"".join((*kept, data[end:]))
