"""Pictures of digits, as people make them, and PNG files with any header."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.support.strokes import strokes

SIDE = 280


def save(picture: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture's file."""
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def enlarged(digit: NDArray[np.uint8], seed: int) -> Image.Image:
    """Enlarge a digit, black on white, to a random size at a random place of 280 x 280 pixels."""
    random = np.random.default_rng(seed)
    side = int(random.uniform(0.4, 1) * SIDE)
    ink = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    left, top, right, bottom = ink.point(lambda level: 255 * (level > 8)).getbbox()
    x, y = random.integers(2 - left, SIDE - 2 - right), random.integers(2 - top, SIDE - 2 - bottom)
    paper = Image.new("L", (SIDE, SIDE), 255)
    paper.paste(ink.point(lambda level: 255 - level), (int(x), int(y)))
    return paper


def drawn(digit: NDArray[np.uint8], width: int) -> Image.Image:
    """Write a digit with a pen, black on white, 280 x 280."""
    paper = Image.new("L", (SIDE, SIDE), 255)
    pen = ImageDraw.Draw(paper)
    for stroke in strokes(digit):
        points = [(10 * x, 10 * y) for x, y in stroke]
        pen.line(points, fill=0, width=width, joint="curve")
        for x, y in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
    return paper


def photographed(digit: NDArray[np.uint8], seed: int) -> Image.Image:
    """Write a digit with a thin pen on grey paper, in light from one side, with a camera's noise."""
    random = np.random.default_rng(seed)
    paper = np.pad(np.asarray(drawn(digit, 8)) / 255, 40, constant_values=1)
    y, x = np.mgrid[-1 : 1 : 1j * len(paper), -1 : 1 : 1j * len(paper)]
    angle = random.uniform(0, 2 * np.pi)
    light = 0.65 + 0.15 * (np.cos(angle) * x + np.sin(angle) * y) - 0.05 * (x**2 + y**2)
    levels = light * (0.3 + 0.7 * paper) + random.normal(0, 0.03, paper.shape)
    return Image.fromarray((levels.clip(0, 1) * 255).astype(np.uint8))


def bar(format_: str) -> bytes:
    """The file of a small picture with a vertical bar."""
    picture = Image.new("L", (40, 40), 255)
    picture.paste(0, (20, 8, 23, 32))
    return save(picture, format_)


def png(width: int, height: int, data: bytes = b"", *, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG file with these values in its header, whatever the data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
