"""Pictures to images: PNG, JPEG and WebP files, decoded within limits and brought into a model's form.

Pillow is imported by the first picture: a service that never gets one neither waits for it nor holds it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import (
    InvalidBody,
    OutOfMemory,
    PictureTooLarge,
    ServiceError,
)
from service.inputs.digits import Grey, read_digit
from service.inputs.fitting import fit
from service.inputs.image import Shape
from service.inputs.preprocessing import MNIST, Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MEDIA_TYPES = (b"image/png", b"image/jpeg", b"image/jpg", b"image/webp")
FORMATS = ("PNG", "JPEG", "WEBP")

# A drawing needs no more; shrinking first makes all that follows fast, and smooths a photograph's noise.
WORKING_SIDE = 320

# An encoder writes some ten scans; each one costs a pass over the whole picture.
MAX_SCANS = 50
SCAN = b"\xff\xda"
JPEG = b"\xff\xd8"
END = b"\xff\xd9"
COMMENT, ADOBE, ADOBE_BYTES = 0xFE, 0xEE, 16
APPLICATION_SEGMENTS = range(0xE2, 0xF0)  # but those of JFIF and EXIF
# Two ways to end a JPEG file that lacks its end marker; see ``_load``.
ENDS = (END, b"\x5a\xa5" * 16 + END)

WEBP = b"RIFF"
PNG = b"\x89PNG\r\n\x1a\n"
# The chunks of a PNG file that its pixels need, and the one that says which way is up.
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")

SIZE = "size as stored"  # in Pillow's info: a JPEG is decoded to less
ORIENTATION = 0x0112  # in EXIF
# What a colour key in PNG's tRNS is to be multiplied by, to be of the scale that Pillow reads greys in.
KEY_SCALES = {"1": 255, "L;2": 85, "L;4": 17}


def read_picture(data: bytes, max_pixels: int, shape: Shape, how: Preprocessing) -> NDArray[np.float32]:
    """Return the flat image in a PNG, JPEG or WebP file, for a model that takes this shape.

    Raises:
        InvalidBody: the file is none of these, or damaged.
        PictureTooLarge: it has more pixels than ``max_pixels``, or more scans than an encoder writes;
            nothing of it was decoded.
        BlankPicture: it is to have a digit, and nothing in it stands out from its border.
        OutOfMemory: there is no memory to decode it in.
    """
    try:
        if how.method == MNIST:
            with _readable(max_pixels):
                grey, alpha = _grey_and_alpha(_open(data, max_pixels, "L", WORKING_SIDE))
            return read_digit(grey, alpha)
        with _readable(max_pixels):
            # Twice as large as it will be: what a JPEG decoder leaves out then does not show.
            side = 2 * max(how.resize_size, shape.height, shape.width)
            picture = _open(data, max_pixels, "L" if shape.channels == 1 else "RGB", side)
            return fit(_eight_bits(picture), picture.info[SIZE], shape, how)
    except (MemoryError, ImportError):  # the first picture needs room for Pillow, too
        raise OutOfMemory("there is not enough memory for this picture now; try again in a second") from None


@contextlib.contextmanager
def _readable(max_pixels: int) -> Iterator[None]:
    """Say what is wrong with a picture, whatever Pillow calls it."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (ServiceError, MemoryError, ImportError):
        raise
    except UnidentifiedImageError:
        raise InvalidBody("the body is not a PNG, JPEG or WebP picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge(f"the picture is too large; at most {max_pixels} pixels are read") from None
    except Exception as error:  # Pillow's decoders raise whatever they stumble on
        if "out of memory" in str(error):  # as some of them say it
            raise MemoryError from None
        raise InvalidBody(f"the picture can't be read: {error}") from None


def _open(data: bytes, max_pixels: int, mode: str, side: int) -> Picture:
    """Return a picture as it is to be seen; a JPEG may come in this mode, and no smaller than this side."""
    return _upright(_load(without_metadata(data), max_pixels, mode, side))


def _grey_and_alpha(picture: Picture) -> tuple[Grey, Grey | None]:
    """Return a picture's brightness and, if any of it is transparent, its opacity."""
    if picture.mode.startswith("I"):
        return _decode_deep_grey(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return _shrunk(picture.convert("L")), _shrunk(picture.getchannel("A"))
    return _shrunk(picture.convert("L")), None


def _eight_bits(picture: Picture) -> Picture:
    if not picture.mode.startswith("I"):
        return picture
    from PIL import Image

    grey = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    key = picture.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(np.asarray(picture) == key, 0, 255).astype(np.uint8)))
    return grey


def without_metadata(data: bytes) -> bytes:
    """Return a picture file without what is about it: comments, profiles, animations, previews.

    Pillow refuses pictures for what is wrong with those. Of EXIF, which says which way is up, it does not.
    """
    if data.startswith(PNG):
        return _without_chunks(data)
    return _without_segments(data) if data.startswith(JPEG) else data


def _without_segments(data: bytes) -> bytes:
    kept, at = [JPEG], len(JPEG)
    while data[at : at + 1] == b"\xff" and data[at : at + 2] not in (SCAN, END):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        marker = data[at + 1]
        is_metadata = marker == COMMENT or marker in APPLICATION_SEGMENTS
        # Adobe's says what the colours are. One that is too short does not.
        if not is_metadata or (marker == ADOBE and end - at >= ADOBE_BYTES):
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, data[at:]))


def _without_chunks(data: bytes) -> bytes:
    kept, at, kind = [PNG], len(PNG), b""
    while kind != b"IEND" and at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if kind in CHUNKS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _load(data: bytes, max_pixels: int, mode: str, side: int) -> Picture:
    """Return the decoded picture, whose limits are checked before that.

    A JPEG file may lack its end marker. Its pixels are all there if they are the same whatever follows.
    """
    if data.startswith(JPEG) and (scans := data.count(SCAN)) > MAX_SCANS:
        raise PictureTooLarge(f"the picture is stored in {scans} scans; at most {MAX_SCANS} are read")
    try:
        return _load_whole(data, max_pixels, mode, side)
    except OSError as error:
        if not data.startswith(JPEG) or "truncated" not in str(error):
            raise
        with contextlib.suppress(OSError):
            one, other = (_load_whole(data + end, max_pixels, mode, side) for end in ENDS)
            if one.tobytes() == other.tobytes():
                return one
        raise


def _load_whole(data: bytes, max_pixels: int, mode: str, side: int) -> Picture:
    from PIL import Image

    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = picture.size
    if width * height > max_pixels:
        raise PictureTooLarge(f"the picture is {width} x {height}; at most {max_pixels} pixels are read")
    # A JPEG file decodes to an eighth of its size, and to grey, for an eighth of the work.
    picture.draft(mode, (side, side))
    picture.info[SIZE] = (width, height)
    raw_mode = picture.tile[0].args if picture.tile else ""
    picture.load()
    key = picture.info.get("transparency")
    if raw_mode in KEY_SCALES and isinstance(key, int):
        picture.info["transparency"] = key * KEY_SCALES[raw_mode]
    elif raw_mode == "RGB;16B" and key is not None:  # read as 8 bits a channel
        picture.info["transparency"] = tuple(level >> 8 for level in key)
    return picture


def _upright(picture: Picture) -> Picture:
    """Return the picture as its EXIF data say that it is to be seen, if they can be read."""
    from PIL.Image import Transpose

    turns: dict[object, Transpose] = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(picture.getexif().get(ORIENTATION))
    except Exception:  # whatever may be in there: pixels are read without it
        turn = None
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    if turn in (Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90):
        turned.info[SIZE] = picture.info[SIZE][::-1]
    return turned


def _decode_deep_grey(picture: Picture) -> tuple[Grey, Grey | None]:
    """Decode a grey picture of 16 bits a pixel; Pillow's own conversion would clip at 255."""
    picture = _eight_bits(picture)
    alpha = _shrunk(picture.getchannel("A")) if picture.mode == "LA" else None
    return _shrunk(picture.getchannel("L")), alpha


def _shrunk(picture: Picture) -> Grey:
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE))
    return np.asarray(picture, np.float32) / np.float32(255)
