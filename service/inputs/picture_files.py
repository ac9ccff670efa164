"""The structure of PNG and JPEG files: what of them Pillow is given, and how many scans a JPEG has."""

from __future__ import annotations

from collections.abc import Iterator

JPEG = b"\xff\xd8"
WEBP = b"RIFF"
SCAN = b"\xff\xda"
END = b"\xff\xd9"
COMMENT, ADOBE, ADOBE_BYTES = 0xFE, 0xEE, 16
APPLICATION_SEGMENTS = range(0xE2, 0xF0)  # but those of JFIF and EXIF

PNG = b"\x89PNG\r\n\x1a\n"
# The chunks of a PNG file that its pixels need, and the one that says which way is up.
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")


def without_metadata(data: bytes) -> bytes:
    """Return a picture file without what is about it: comments, profiles, animations, previews.

    Pillow refuses pictures for what is wrong with those. Of EXIF, which says which way is up, it does not.
    """
    if data.startswith(PNG):
        return _without_chunks(data)
    return _without_segments(data) if data.startswith(JPEG) else data


def count_scans(data: bytes) -> int:
    """Return how often a JPEG file passes over its picture; a preview in its EXIF data does not count."""
    return data.count(SCAN, max((end for _, _, end in _segments(data)), default=len(JPEG)))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before the first scan."""
    at = len(JPEG)
    while data[at : at + 1] == b"\xff" and data[at : at + 2] not in (SCAN, END):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield data[at + 1], at, end
        at = end


def _without_segments(data: bytes) -> bytes:
    kept, end = [JPEG], len(JPEG)
    for marker, start, end in _segments(data):
        is_metadata = marker == COMMENT or marker in APPLICATION_SEGMENTS
        # Adobe's says what the colours are. One that is too short does not.
        if not is_metadata or (marker == ADOBE and end - start >= ADOBE_BYTES):
            kept.append(data[start:end])
    return b"".join((*kept, data[end:]))


def _without_chunks(data: bytes) -> bytes:
    kept, at, kind = [PNG], len(PNG), b""
    while kind != b"IEND" and at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if kind in CHUNKS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
