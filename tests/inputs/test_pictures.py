"""Pictures are decoded within bounds, in any format and orientation, and what is no picture is refused."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from service.errors import BlankPicture, InvalidBody, PictureTooLarge
from service.inputs.digits import SHAPE
from service.inputs.image import Shape
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from tests.support.pictures import bar, enlarged, photographed, png, save

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


WEBP_KINDS = {
    "VP8 ": save(Image.new("RGB", (2100, 2000)), "WEBP"),
    "VP8L": save(Image.new("RGB", (2100, 2000)), "WEBP", lossless=True),
    "VP8X": save(Image.new("RGB", (2100, 2000)), "WEBP", exif=b"Exif"),
}


@pytest.mark.parametrize("kind", WEBP_KINDS)
def test_a_large_webp_is_refused_before_pillow_takes_the_memory_for_it(kind):
    head = WEBP_KINDS[kind][:30]
    assert kind.encode() in head

    with pytest.raises(PictureTooLarge, match="the picture is 2100 x 2000"):
        read_picture(head, MAX_PIXELS, SHAPE, Preprocessing())


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


@pytest.mark.parametrize("size", [(1, MAX_PIXELS), (MAX_PIXELS // 8, 8)], ids=str)
def test_a_thin_picture_takes_no_more_memory_than_a_square_one(size):
    levels = np.full(size[::-1], 255, np.uint8)
    levels[: size[1] // 2, : size[0] // 2] = 0

    with pytest.raises(BlankPicture):
        read(Image.fromarray(levels))


@pytest.fixture(scope="module")
def phone_pictures(digits, tmp_path_factory):
    """Files of photographs by their megapixels, and of a progressive one."""
    folder, taken = tmp_path_factory.mktemp("phone"), photographed(digits[0], 0)
    for name, size, progressive in (
        ("12", (4032, 3024), False),
        ("50", (8160, 6120), False),
        ("12-progressive", (4032, 3024), True),
        ("50-progressive", (8160, 6120), True),
    ):
        taken.resize(size).save(folder / name, "JPEG", quality=60, progressive=progressive)
    return folder


LITTLE_MEMORY = """
import re, resource, sys
from pathlib import Path
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing

small, large = (Path(path).read_bytes() for path in sys.argv[1:3])
read_picture(small, 1 << 22, SHAPE, Preprocessing())
held = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (held + (int(sys.argv[3]) << 20), resource.RLIM_INFINITY))
read_picture(large, 1 << 22, SHAPE, Preprocessing())
"""


@pytest.mark.parametrize(("name", "mebibytes"), [("12", 16), ("50", 16), ("12-progressive", 64)])
def test_photographs_of_phones_are_read_in_little_memory(phone_pictures, tmp_path, name, mebibytes):
    (tmp_path / "small").write_bytes(bar("JPEG"))
    program = [sys.executable, "-c", LITTLE_MEMORY, tmp_path / "small", phone_pictures / name, str(mebibytes)]

    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_photographs_of_phones_are_recognised(model, phone_pictures):
    for name in ("12", "50", "12-progressive"):
        image = read_picture((phone_pictures / name).read_bytes(), MAX_PIXELS, SHAPE, Preprocessing())

        assert model.logits(np.stack([image])).argmax() == 7


def test_photographs_of_phones_are_resized_as_torchvision_does_it(phone_pictures):
    preset = ImageClassification(crop_size=224, resize_size=256, mean=(0, 0, 0), std=(1, 1, 1))
    data = (phone_pictures / "12").read_bytes()
    theirs = preset(Image.open(io.BytesIO(data)).convert("RGB")).permute(1, 2, 0).numpy()

    ours = read_picture(data, MAX_PIXELS, Shape(3, 224, 224), Preprocessing("resize", 256, 224))

    assert np.abs(ours.reshape(224, 224, 3) - theirs).mean() <= 1 / 255


def test_a_jpeg_that_can_not_be_shrunk_enough_is_refused(phone_pictures):
    long = save(Image.new("L", (20_000, 300)), "JPEG")
    for data in ((phone_pictures / "50-progressive").read_bytes(), long):
        with pytest.raises(PictureTooLarge, match=r"67108864 \(16777216 if it is progressive\)"):
            read_picture(data, MAX_PIXELS, SHAPE, Preprocessing())


def test_a_preview_in_the_metadata_is_no_scan_of_the_picture(digits):
    exif = Image.Exif()
    exif[0x9286] = bar("JPEG") * 60  # a comment, of the user's

    image = read(enlarged(digits[0], 0), "JPEG", exif=exif)

    np.testing.assert_array_equal(image, read(enlarged(digits[0], 0), "JPEG"))


SHORT_OF_MEMORY = """
import re, resource, sys
from pathlib import Path
from service.errors import OutOfMemory
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from service.memory import release_memory

large = Path(sys.argv[1]).read_bytes()
image = read_picture(large, 1 << 22, SHAPE, Preprocessing())
release_memory()
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
