"""Pictures to images: PNG, JPEG and WebP files, decoded in a thread and brought into the form of MNIST.

Pillow is imported by the first picture: a service that never gets one neither waits for it nor holds it.
"""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import (
    BlankPicture,
    InvalidBody,
    OutOfMemory,
    PictureTooLarge,
    QueueFull,
    QueueTimeout,
    ServiceError,
)
from service.inputs.digits import Grey, normalise

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MEDIA_TYPES = (b"image/png", b"image/jpeg", b"image/webp")
FORMATS = ("PNG", "JPEG", "WEBP")

# A digit needs no more; shrinking first makes all that follows fast, and smooths a photograph's noise.
WORKING_SIDE = 320

# However many pictures may wait by number, together they hold no more memory than this.
MAX_WAITING_BYTES = 32 << 20


class PictureReader:
    """Turns picture files into images, one at a time, in a thread of its own.

    A picture costs many times what a prediction does. One thread, and a bounded number that wait for it,
    leave the processor and the memory to other requests.

    Use it as ``async with PictureReader(...) as reader``; leaving ends the thread.
    """

    def __init__(self, *, max_pixels: int, max_waiting: int, timeout_seconds: float) -> None:
        self._max_pixels = max_pixels
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._waiting = 0
        self._waiting_bytes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    async def __aenter__(self) -> PictureReader:
        """Start the thread now: once memory is short, it may be too late."""
        await asyncio.get_running_loop().run_in_executor(self._thread, int)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the thread after the picture in hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(self, data: bytes) -> NDArray[np.float32]:
        """Return the digit in a picture file, shape (784,).

        Raises:
            QueueFull: too many pictures wait already.
            QueueTimeout: its turn has not come, or it took too long.
            InvalidBody, PictureTooLarge, BlankPicture, OutOfMemory: see ``read_picture``.
        """
        if self._waiting >= self._max_waiting or self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
            raise QueueFull(f"{self._waiting} pictures wait already; try again in a second")
        self._waiting += 1
        self._waiting_bytes += len(data)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, read_picture, data, self._max_pixels
                )
        except TimeoutError:
            raise QueueTimeout(f"the picture was not read within {self._timeout_seconds:g} s") from None
        finally:
            self._waiting -= 1
            self._waiting_bytes -= len(data)


def read_picture(data: bytes, max_pixels: int) -> NDArray[np.float32]:
    """Return the digit in a PNG, JPEG or WebP file, in the form of MNIST, shape (784,).

    Raises:
        InvalidBody: the file is none of these, or damaged.
        PictureTooLarge: it has more pixels than ``max_pixels``; nothing of it was decoded.
        BlankPicture: nothing in it stands out from its border.
        OutOfMemory: there is no memory to decode it in.
    """
    try:
        grey, alpha = _decode(data, max_pixels)
        if alpha is None:
            return normalise(grey)
        try:
            return normalise(grey * alpha + (1 - alpha))
        except BlankPicture:
            # White ink on nothing: on black paper it shows.
            return normalise(grey * alpha)
    except (MemoryError, ImportError):  # the first picture needs room for Pillow, too
        raise OutOfMemory("there is not enough memory for this picture now; try again in a second") from None


def _decode(data: bytes, max_pixels: int) -> tuple[Grey, Grey | None]:
    """Return a picture's brightness and, if any of it is transparent, its opacity."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise PictureTooLarge(
                    f"the picture is {width} x {height}; at most {max_pixels} pixels are read"
                )
            # A JPEG file decodes to an eighth of its size, and to grey, for an eighth of the work.
            picture.draft("L", (WORKING_SIDE, WORKING_SIDE))
            upright = ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                return _shrunk(upright.convert("L")), _shrunk(upright.getchannel("A"))
            return _shrunk(_grey(upright)), None
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


def _grey(picture: Picture) -> Picture:
    if picture.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would clip at 255
        from PIL import Image

        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("L")


def _shrunk(picture: Picture) -> Grey:
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE))
    return np.asarray(picture, np.float32) / np.float32(255)
