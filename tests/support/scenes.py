"""Pictures of digits in surroundings: what lies on the paper or beside it, and how light falls on it.

Each scene takes the ink of a digit, 0..1 on a sheet of its own, and gives a picture, shape (height, width) or
(height, width, 3). Everything else about it is random, from the generator that it is given.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Levels = NDArray[np.float64]
Scene = Callable[[NDArray[np.uint8], np.random.Generator], Levels]


def written(
    digit: NDArray[np.uint8], random: np.random.Generator, sizes: tuple[float, float] = (0.4, 0.75)
) -> Levels:
    """Return the ink of a digit, shape (height, width), of this size in shares of the shorter side."""
    height, width = (int(side) for side in random.uniform(0.8, 1.2, 2) * random.integers(160, 420))
    tall = max(random.uniform(*sizes) * min(height, width), 18)
    # Of 28 pixels, a digit of MNIST fills twenty.
    side = round(tall * 28 / 20)
    ink = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    left, top, right, bottom = ink.point(lambda level: 255 * (level > 8)).getbbox() or (0, 0, side, side)
    margin = 0.1 * min(height, width)
    x, y = (
        int(random.uniform(margin, max(margin, length - margin - extent)))
        for length, extent in ((width, right - left), (height, bottom - top))
    )
    sheet = Image.new("L", (width, height), 0)
    sheet.paste(ink.crop((left, top, right, bottom)), (x, y))
    return np.asarray(sheet) / 255


def on_paper(ink: Levels, random: np.random.Generator) -> Levels:
    paper, pen = random.uniform(205, 255), random.uniform(0, 70)
    return paper + (pen - paper) * ink


def plain(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    return on_paper(written(digit, random), random)


def framed(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    levels = on_paper(written(digit, random), random)
    width, grey = random.integers(1, 6), random.uniform(0, 230)
    levels[:width], levels[-width:], levels[:, :width], levels[:, -width:] = (grey,) * 4
    return levels


def on_a_table(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """A sheet on a table, which shows on all sides or on some, and is nearly or not at all straight."""
    sheet = on_paper(written(digit, random), random)
    sides = random.uniform(0.04, 0.25, 4) * max(sheet.shape) * (random.random(4) < 0.8)
    top, bottom, left, right = (int(side) for side in sides)
    table = random.uniform(20, 150)
    around = np.pad(sheet, ((top, bottom), (left, right)), constant_values=table)
    turned = Image.fromarray(around.astype(np.float32)).rotate(
        random.uniform(-6, 6), Image.Resampling.BILINEAR, fillcolor=table
    )
    return np.asarray(turned, float)


def _light(levels: Levels, random: np.random.Generator, kind: str, least: float) -> Levels:
    """Return the levels in a light that falls from 1 to ``least`` or a little more."""
    height, width = levels.shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    depth = (1 - least) * random.uniform(0.6, 1)
    if kind == "shadow":  # the soft edge of something that stands in the light
        angle, where, soft = random.uniform(0, 2 * np.pi), random.uniform(-0.4, 0.4), random.uniform(8, 25)
        across = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) - where
        return levels * (1 - depth / (1 + np.exp(-soft * across)))
    cx, cy = random.uniform(0.2, 0.8, 2) if kind == "lamp" else (0.5, 0.5)
    far = (x - cx) ** 2 + (y - cy) ** 2
    fall = 1 - np.exp(-far / random.uniform(0.06, 0.2)) if kind == "lamp" else far / far.max()
    return levels * (1 - depth * fall)


def in_shadow(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    return _light(on_paper(written(digit, random), random), random, "shadow", 0.6)


def under_a_lamp(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    return _light(on_paper(written(digit, random), random), random, "lamp", 0.6)


def vignetted(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    return _light(on_paper(written(digit, random), random), random, "vignette", 0.5)


def boxed(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """A box that is drawn around the digit, as on a form."""
    ink = written(digit, random)
    rows, columns = np.flatnonzero(ink.max(1) > 0.1), np.flatnonzero(ink.max(0) > 0.1)
    height, width = ink.shape
    rooms = columns[0], rows[0], width - columns[-1], height - rows[-1]
    gaps = random.uniform(0.35, 0.8, 4) * np.minimum(rooms, 0.2 * min(ink.shape)) * (-1, -1, 1, 1)
    box = tuple(np.array((columns[0], rows[0], columns[-1], rows[-1])) + gaps)
    sheet = Image.fromarray((255 * ink).astype(np.uint8))
    line = int(random.integers(1, max(2, min(ink.shape) // 40)))
    ImageDraw.Draw(sheet).rectangle(box, outline=int(random.uniform(120, 255)), width=line)
    return on_paper(np.asarray(sheet) / 255, random)


def punched(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """Two to four holes along the left, whole or cut by the picture's edge."""
    levels = on_paper(written(digit, random), random)
    levels = np.pad(levels, ((0, 0), (int(0.15 * levels.shape[1]), 0)), mode="edge")
    sheet = Image.fromarray(levels.astype(np.float32))
    pen, radius = ImageDraw.Draw(sheet), random.uniform(0.02, 0.05) * min(levels.shape)
    x, grey = random.uniform(0, 0.08) * levels.shape[1], random.uniform(0, 110)
    for y in np.linspace(0.12, 0.88, random.integers(2, 5)) * levels.shape[0]:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=grey)
    return np.array(sheet, float)


def dark_cornered(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    levels = on_paper(written(digit, random), random)
    height, width = levels.shape
    y, x = np.mgrid[0:height, 0:width]
    reach = random.uniform(0.05, 0.17, 2) * (height, width)
    inside = x / reach[1] + y / reach[0] < 1
    if random.random() < 0.5:
        inside = (x / reach[1]) ** 2 + (y / reach[0]) ** 2 < 1
    levels[inside[:: random.choice((1, -1)), :: random.choice((1, -1))]] = random.uniform(0, 100)
    return levels


def beside_a_strip(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """A dark strip along one side."""
    levels = on_paper(written(digit, random), random)
    side = int(random.uniform(0.01, 0.2) * levels.shape[1])
    sides = np.zeros((2, 2), int)
    sides[tuple(random.integers(2, size=2))] = side
    return np.pad(levels, sides, constant_values=random.uniform(0, 150))


def beside_a_thumb(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """Something round and grey that reaches in from one side."""
    levels = on_paper(written(digit, random), random)
    wide = int(random.uniform(0.1, 0.2) * levels.shape[1])
    from_right = random.random() < 0.5
    levels = np.pad(levels, ((0, 0), (0, wide) if from_right else (wide, 0)), mode="edge")
    height, width = levels.shape
    y, x = np.mgrid[0:height, 0:width]
    if from_right:
        x = x[:, ::-1]
    middle, half = random.uniform(0.2, 0.8) * height, random.uniform(0.06, 0.14) * height
    skin = np.hypot(np.maximum(x - wide + half, 0), y - middle) < half
    levels[skin] = random.uniform(60, 160)
    return levels


def noisy(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    levels = on_paper(written(digit, random), random)
    return levels + random.normal(0, random.uniform(20, 60), levels.shape)


def faint(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    paper, contrast = random.uniform(60, 250), random.uniform(20, 40)
    levels = paper - contrast * written(digit, random)
    return levels + random.normal(0, 0.04 * contrast, levels.shape)


def tiny(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """A small digit in one corner."""
    ink = written(digit, random, (0.07, 0.12))
    rows, columns = np.flatnonzero(ink.max(1) > 0.1), np.flatnonzero(ink.max(0) > 0.1)
    margin = random.integers(4, 20, 2)
    ink = np.roll(ink, (margin[0] - rows[0], margin[1] - columns[0]), (0, 1))
    turns = random.choice((1, -1)), random.choice((1, -1))
    if turns[0] < 0:
        ink = np.roll(ink, -(2 * margin[0] + np.ptp(rows) + 1), 0)
    if turns[1] < 0:
        ink = np.roll(ink, -(2 * margin[1] + np.ptp(columns) + 1), 1)
    return on_paper(ink, random)


def cropped(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """A digit that was cut out along its edges."""
    ink = written(digit, random)
    rows, columns = np.flatnonzero(ink.max(1) > 0.1), np.flatnonzero(ink.max(0) > 0.1)
    return on_paper(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], random)


def on_a_blackboard(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """Chalk on a board in a light frame, in uneven light."""
    board, chalk = random.uniform(20, 80), random.uniform(170, 240)
    levels = board + (chalk - board) * written(digit, random)
    frame = int(random.uniform(0, 0.08) * min(levels.shape))
    levels = np.pad(levels, frame, constant_values=random.uniform(100, 255))
    return _light(levels, random, "lamp", 0.7)


def in_colour(digit: NDArray[np.uint8], random: np.random.Generator) -> Levels:
    """Ink and paper of one luma (ITU-R 601) that differ in colour."""
    ink = written(digit, random)[..., None]
    colours = random.permutation([(255, 0, 0), (0, 130, 0), (60, 60, 206), (150, 30, 120)])[:2]
    paper, pen = (colour * (76 / (colour @ (0.299, 0.587, 0.114))) for colour in colours)
    return np.clip(paper + (pen - paper) * ink, 0, 255)


SCENES: dict[str, Scene] = {
    "plain": plain,
    "frame": framed,
    "table": on_a_table,
    "shadow": in_shadow,
    "lamp": under_a_lamp,
    "vignette": vignetted,
    "box": boxed,
    "holes": punched,
    "dark corner": dark_cornered,
    "strip": beside_a_strip,
    "thumb": beside_a_thumb,
    "noise": noisy,
    "faint": faint,
    "tiny": tiny,
    "cropped": cropped,
    "blackboard": on_a_blackboard,
    "colour": in_colour,
}


def picture(scene: str, digit: NDArray[np.uint8], seed: int) -> Image.Image:
    """Return a picture of the digit in this scene."""
    levels = SCENES[scene](digit, np.random.default_rng([seed, *scene.encode()]))
    return Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))
