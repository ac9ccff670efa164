"""Printed characters in the form of MNIST, from the fonts that Matplotlib brings along."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from training.pen import BOX, CENTRE, SIDE

# DejaVu, STIX and Computer Modern; their licences lie beside them in Matplotlib's package.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "STIXGeneral",
    "STIXGeneralBolIta",
    "cmr10",
    "cmss10",
    "cmti10",
)
# Those that have letters of other alphabets and signs.
RARE_FONTS = ("DejaVuSans", "DejaVuSans-Bold")
# Only measured with, never trained on.
OTHER_FONTS = (
    "DejaVuSerif-Italic",
    "DejaVuSansMono-Bold",
    "STIXGeneralItalic",
    "STIXGeneralBol",
    "cmtt10",
    "cmb10",
)

# Characters that are no digit's twin: without O, o, Q, I, l, i, S, s, Z, z, B, b, g, q, and those that are a
# slanting 1.
LETTERS = "ACDEFGHJKLMNPRTUVWXYacdefhjkmnprtuvwxy"
SIGNS = "#%&*+<=>?@^~$-"
# In RARE_FONTS: Greek and Cyrillic letters, arrows, suits of cards, stars, faces, notes, mathematics.
RARE_SIGNS = (
    "αβγεζηλμξπφχψωΓΔΘΛΞΠΣΦΨΩ"
    "дёжийлмнптфхцшщыюяБГДЖИЙЛПФЦШЩЫЮЯ"
    "←↑→↓↔↕♠♣♥♦♡♢♤♧★☆☺☹☻☀☂☎♪♫✓✗✈✿❀❤∑∫√∞≈≠≡±÷∂∇∈∩⊂∀∃€£¥§¶"
)
# Only measured with, never trained on.
OTHER_SIGNS = "KRmwYh%&@"


def printed(characters: Sequence[str], fonts: Sequence[str]) -> Tensor:
    """The characters, each in the font of the same place: images (N, 1, 28, 28) uint8, as MNIST's are."""
    images = np.zeros((len(characters), SIDE, SIDE), np.uint8)
    for index, (character, font) in enumerate(zip(characters, fonts, strict=True)):
        images[index] = _printed(character, font)
    return torch.from_numpy(images).unsqueeze(1)


def choose(
    characters: str, fonts: Sequence[str], count: int, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Draw so many characters, and a font for each."""
    drawn = rng.integers(len(characters), size=count), rng.integers(len(fonts), size=count)
    return [characters[index] for index in drawn[0]], [fonts[index] for index in drawn[1]]


@functools.cache
def _printed(character: str, font: str) -> NDArray[np.uint8]:
    canvas = Image.new("L", (160, 160))
    ImageDraw.Draw(canvas).text((80, 80), character, fill=255, font=_font(font), anchor="mm")
    return in_form(canvas)


@functools.cache
def _font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), 80)


def in_form(picture: Image.Image) -> NDArray[np.uint8]:
    """White ink on black in the form of MNIST (28, 28): its longer side is 20, its mass in the centre."""
    box = picture.getbbox()
    if box is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    scale = BOX / max(box[2] - box[0], box[3] - box[1])
    size = [max(1, round(scale * side)) for side in (box[2] - box[0], box[3] - box[1])]
    ink = np.asarray(picture.resize((size[0], size[1]), Image.Resampling.BOX, box), np.float64)
    mass = max(ink.sum(), 1.0)
    top = round(CENTRE - float(ink.sum(axis=1) @ np.arange(size[1])) / mass)
    left = round(CENTRE - float(ink.sum(axis=0) @ np.arange(size[0])) / mass)
    top, left = min(max(top, 0), SIDE - size[1]), min(max(left, 0), SIDE - size[0])
    form = np.zeros((SIDE, SIDE), np.uint8)
    form[top : top + size[1], left : left + size[0]] = np.rint(255 * ink / max(ink.max(), 1))
    return form
