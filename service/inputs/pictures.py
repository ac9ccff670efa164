"""Pictures to images: PNG, JPEG and WebP files, decoded within limits and brought into a model's form.

Pillow is imported by the first picture: a service that never gets one neither waits for it nor holds it.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import (
    BlankPicture,
    InvalidBody,
    OutOfMemory,
    PictureTooLarge,
    ServiceError,
)
from service.inputs.fitting import fit
from service.inputs.image import Shape
from service.inputs.picture_files import END, JPEG, MAX_SCANS, count_scans, webp_size, without_metadata
from service.inputs.preprocessing import MNIST, Preprocessing, mnist

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MEDIA_TYPES = (b"image/png", b"image/jpeg", b"image/jpg", b"image/webp")
FORMATS = ("PNG", "JPEG", "WEBP")

# A drawing needs no more; shrinking first makes all that follows fast, and smooths a photograph's noise.
WORKING_SIDE = 320

QUICK_PIXELS = 1 << 18  # take some 5 ms; a file of 250 bytes may have many more

# Two ways to end a JPEG file that lacks its end marker; see ``_load``.
ENDS = (END, b"\x5a\xa5" * 16 + END)
# A JPEG is decoded to a part of its size, so it may have so many times the pixels. One in several scans takes
# up to 6 bytes of memory for each pixel all the same.
ONE_SCAN, SEVERAL_SCANS = 16, 4

ONE_BYTE = ("1", "L", "P")  # modes that take so much memory for a pixel; the others take four at most
GREYS = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
BAND = 128  # rows of the shrunk picture

# With less memory than this beside the picture, what a decoder says of it may be wrong.
SPARE_BYTES = 4 << 20

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
        BlankPicture: it is to have a digit, and nothing in it stands out from the paper.
        OutOfMemory: there is no memory to decode it in.
    """
    try:
        if how.method == MNIST:
            return _read_mnist(data, max_pixels)
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
        raise PictureTooLarge(f"the picture is too large; {_limits(max_pixels)}") from None
    except Exception as error:  # Pillow's decoders raise whatever they stumble on
        if "out of memory" in str(error):  # as some of them say it
            raise MemoryError from None
        bytearray(SPARE_BYTES)  # raises MemoryError: libjpeg calls a file broken that it has no memory for
        raise InvalidBody(f"the picture can't be read: {error}") from None


def _limits(max_pixels: int) -> str:
    return (
        f"at most {max_pixels} pixels are read, or as a JPEG, which is shrunk while it is decoded, "
        f"{ONE_SCAN * max_pixels} ({SEVERAL_SCANS * max_pixels} if it is progressive)"
    )


def _open(data: bytes, max_pixels: int, mode: str, side: int) -> Picture:
    """Return a picture as it is to be seen; a JPEG may come in this mode, and no smaller than this side."""
    return _upright(_load(without_metadata(data), max_pixels, mode, side))


def _read_mnist(data: bytes, max_pixels: int) -> NDArray[np.float32]:
    with _readable(max_pixels):
        picture = _open(data, max_pixels, "RGB", WORKING_SIDE)
        seen = _on_paper(picture, "white")
    try:
        return mnist.read(seen)
    except BlankPicture:
        if not picture.has_transparency_data:
            raise
    with _readable(max_pixels):
        # White ink on nothing: on black paper it shows.
        seen = _on_paper(picture, "black")
    return mnist.read(seen)


def _on_paper(picture: Picture, colour: str) -> Picture:
    """Return a picture, grey or RGB, as it is seen on paper of this colour where it is transparent.

    A large one is converted in bands and shrunk, so that there is no second one of its size.
    """
    from PIL import Image

    if picture.mode in ("L", "RGB") and not picture.has_transparency_data:
        return picture
    width, height = picture.size
    factor = max(1, max(width, height) // (2 * WORKING_SIDE))
    mode = "L" if picture.mode in GREYS else "RGB"
    whole = Image.new(mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, BAND * factor):
        band = _eight_bits(picture.crop((0, top, width, min(height, top + BAND * factor))))
        if band.has_transparency_data:
            ink = band.convert("RGBA")
            band = Image.new("RGB", band.size, colour)
            band.paste(ink, mask=ink.getchannel("A"))
        whole.paste(band.convert(mode).reduce(factor), (0, top // factor))
    return whole


def _eight_bits(picture: Picture) -> Picture:
    if not picture.mode.startswith("I"):
        return picture
    from PIL import Image

    grey = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    key = picture.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(np.asarray(picture) == key, 0, 255).astype(np.uint8)))
    return grey


def _load(data: bytes, max_pixels: int, mode: str, side: int) -> Picture:
    """Return the decoded picture, whose limits are checked before that.

    A JPEG file may lack its end marker. Its pixels are all there if they are the same whatever follows.
    """
    scans = count_scans(data) if data.startswith(JPEG) else 0
    if scans > MAX_SCANS:
        raise PictureTooLarge(f"the picture is stored in {scans} scans; at most {MAX_SCANS} are read")
    load = functools.partial(_load_whole, max_pixels=max_pixels, mode=mode, side=side, in_one_scan=scans == 1)
    try:
        return load(data)
    except OSError as error:
        if not data.startswith(JPEG) or "truncated" not in str(error):
            raise
        with contextlib.suppress(OSError):
            one, other = (load(data + end) for end in ENDS)
            if one.tobytes() == other.tobytes():
                return one
        raise


def _load_whole(data: bytes, *, max_pixels: int, mode: str, side: int, in_one_scan: bool) -> Picture:
    from PIL import Image

    _check_pixels(webp_size(data), max_pixels)
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    size = picture.size
    # A JPEG file decodes to an eighth of its size, and to grey, for an eighth of the work.
    picture.draft(mode, (side, side))
    picture.info[SIZE] = size
    if picture.format == "JPEG":
        one_scan = in_one_scan and "progressive" not in picture.info
        _check_pixels(size, max_pixels, times=ONE_SCAN if one_scan else SEVERAL_SCANS)
    _check_pixels(picture.size, max_pixels, stored=size)
    raw_mode = picture.tile[0].args if picture.tile else ""
    # Raises MemoryError in time: where Pillow gets no large block, it takes small ones down to the last page,
    # and without that orjson and NumPy end the process.
    np.empty(picture.width * picture.height * (1 if picture.mode in ONE_BYTE else 4) + SPARE_BYTES, np.uint8)
    picture.load()
    _scale_key(picture, raw_mode)
    return picture


def _scale_key(picture: Picture, raw_mode: object) -> None:
    """Bring the colour that is transparent, if there is one, to the scale that the pixels were read in."""
    key = picture.info.get("transparency")
    if raw_mode in KEY_SCALES and isinstance(key, int):
        picture.info["transparency"] = key * KEY_SCALES[raw_mode]
    elif raw_mode == "RGB;16B" and key is not None:  # read as 8 bits a channel
        picture.info["transparency"] = tuple(level >> 8 for level in key)


def _check_pixels(
    size: tuple[int, int], max_pixels: int, *, times: int = 1, stored: tuple[int, int] | None = None
) -> None:
    if size[0] * size[1] > times * max_pixels:
        width, height = stored or size
        raise PictureTooLarge(f"the picture is {width} x {height}; {_limits(max_pixels)}")


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
