"""Pictures are decoded within bounds, in any format and orientation, and what is no picture is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import BlankPicture, InvalidBody, PictureTooLarge
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from tests.support.pictures import enlarged, png, save

MAX_PIXELS = 1 << 22


def read(picture: Image.Image, format_: str = "PNG", **options: object) -> NDArray[np.float32]:
    return read_picture(save(picture, format_, **options), MAX_PIXELS, SHAPE, Preprocessing())


FORMS = {
    "white ink on black": lambda p: save(p.point(lambda level: 255 - level)),
    "faint ink on grey": lambda p: save(p.point(lambda level: 90 + level // 5)),
    "bilevel": lambda p: save(p.point(lambda level: 255 * (level > 127)).convert("1")),
    "palette": lambda p: save(p.convert("P")),
    "palette with a transparent colour": lambda p: save(p.convert("P"), transparency=255),
    "colour": lambda p: save(Image.merge("RGB", (p, p.point(lambda v: v // 2), Image.new("L", p.size, 255)))),
    "16 bits": lambda p: save(Image.fromarray(np.asarray(p).astype(np.uint16) * 257)),
    "black ink on nothing": lambda p: save(Image.merge("LA", (p, p.point(lambda v: 255 - v)))),
    "white ink on nothing": lambda p: save(
        Image.merge("RGBA", (*[Image.new("L", p.size, 255)] * 3, p.point(lambda v: 255 - v)))
    ),
    "JPEG": lambda p: save(p, "JPEG"),
    "JPEG in CMYK": lambda p: save(p.convert("CMYK"), "JPEG"),
    "progressive JPEG": lambda p: save(p.convert("RGB"), "JPEG", progressive=True),
    "large JPEG": lambda p: save(p.resize((2000, 2000)), "JPEG"),
    "WebP": lambda p: save(p, "WEBP"),
    "wide": lambda p: save(Image.fromarray(np.pad(np.asarray(p), ((0, 0), (0, 900)), constant_values=255))),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_digit_is_the_same_image_in_every_form(digits, form):
    for seed in range(10):
        picture = enlarged(digits[seed], seed)
        expected = read(picture)

        image = read_picture(FORMS[form](picture), MAX_PIXELS, SHAPE, Preprocessing())

        assert np.abs(image - expected).mean() < 0.03


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_sideways_makes_no_difference(digits, orientation):
    turn_back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = enlarged(digits[0], 0)
    taken = upright.transpose(turn_back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    image = read(taken, "JPEG", exif=exif, quality=95)

    np.testing.assert_allclose(image, read(upright, "JPEG", quality=95), atol=0.05)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PNG, JPEG or WebP"),
        (b"GIF89a" + bytes(100), "not a PNG, JPEG or WebP"),
        (save(Image.new("L", (9, 9)), "BMP"), "not a PNG, JPEG or WebP"),
        (save(Image.effect_noise((99, 99), 50))[:3000], "truncated"),
        (save(Image.effect_noise((99, 99), 50), "JPEG")[:1500], "truncated"),
    ],
    ids=["empty", "GIF", "BMP", "half a PNG", "half a JPEG"],
)
def test_what_is_no_picture_is_refused(data, reason):
    with pytest.raises(InvalidBody, match=reason):
        read_picture(data, MAX_PIXELS, SHAPE, Preprocessing())


@pytest.mark.parametrize("side", [2049, 10_000, 60_000], ids=["over our limit", "warning", "bomb"])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    with pytest.raises(PictureTooLarge, match=f"{MAX_PIXELS}"):
        read_picture(png(side, side), MAX_PIXELS, SHAPE, Preprocessing())


def test_damage_never_leads_to_anything_but_a_refusal(digits):
    random = np.random.default_rng(0)
    whole = [save(enlarged(digits[0], 0), form) for form in ("PNG", "JPEG", "WEBP")]
    for _ in range(100):
        data = bytearray(whole[random.integers(len(whole))])
        for place in random.integers(0, len(data), random.integers(1, 20)):
            data[place] = random.integers(256)
        try:
            image = read_picture(bytes(data), MAX_PIXELS, SHAPE, Preprocessing())
        except (InvalidBody, BlankPicture, PictureTooLarge):
            continue
        assert image.shape == (784,)
        assert image.min() >= 0
        assert image.max() == 1


def test_a_huge_picture_is_read_within_the_limit():
    levels = np.full((2048, 2048), 255, np.uint8)
    levels[250:1750, 950:1100] = 0

    image = read(Image.fromarray(levels))

    assert image.sum() == pytest.approx(20 * 2, rel=0.05)


SHORT_OF_MEMORY = """
import re, resource, sys
from pathlib import Path
from service.errors import OutOfMemory
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing

large = Path(sys.argv[1]).read_bytes()
image = read_picture(large, 1 << 22, SHAPE, Preprocessing())
held = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
for spare in range(0, 24 << 20, 1 << 19):
    resource.setrlimit(resource.RLIMIT_DATA, (held + spare, resource.RLIM_INFINITY))
    try:
        read_picture(large, 1 << 22, SHAPE, Preprocessing())
    except OutOfMemory:
        continue
    sys.exit(0 if spare else "there was always enough")
sys.exit("there was never enough")
"""


@pytest.mark.parametrize("form", ["PNG", "JPEG"])  # of a WebP, Pillow does not say what was wrong
def test_a_picture_too_large_for_the_memory_that_is_left_is_not_called_wrong(tmp_path, form):
    """However little there is, either the picture is read, or the service takes the blame."""
    levels = np.full((1400, 1400, 4 if form == "PNG" else 3), 255, np.uint8)
    levels[250:1150, 650:750, :3] = 0
    (tmp_path / "large").write_bytes(save(Image.fromarray(levels), form))

    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, tmp_path / "large"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_pillow_is_not_imported_before_it_is_needed():
    program = "import sys, service.inputs.pictures; sys.exit('PIL' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
