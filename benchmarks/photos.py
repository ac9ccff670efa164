"""Request bodies made of JPEG files for ResNet-18 at 224 x 224: as they are, and as the file of a form.

The photos are computed, so that nobody has to download or to license any: light and colours with the spectrum
of photographs (amplitude falls with frequency), 500 x 375 pixels, 33 to 58 kB at quality 90.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.workload import Bodies, Workload

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 500, 375
QUALITY = 90
SEEDS = (4, 5, 6, 9)  # a random ResNet-18 gives each of these another label, with the widest margins
BOUNDARY = "7ab61b9c8cb34c5e"
FIELD = "images"


@contextmanager
def photo_workload(*, archive: bool) -> Iterator[Workload]:
    """Make the weights file of ResNet-18, for TorchServe its archive beside it, and all bodies.

    Another process does it: see `benchmarks.check` for why this one has no PyTorch.

    Raises:
        RuntimeError: the model can't be made.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        command = [
            sys.executable,
            "-m",
            "benchmarks.resnet",
            str(folder),
            *(["--archive"] if archive else []),
        ]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if made.returncode != 0:
            raise RuntimeError(f"ResNet-18 can't be made: {(made.stdout + made.stderr)[-2000:]}")
        files = photo_files()
        bodies = {
            "jpeg": Bodies("image/jpeg", files),
            "form": Bodies(f"multipart/form-data; boundary={BOUNDARY}", list(map(form_body, files))),
        }
        weights = folder / "resnet18.pt"
        notes = {
            "weights": f"torchvision's ResNet-18, random weights, {weights.stat().st_size / 1e6:.0f} MB",
            "photos": f"{len(files)}, {WIDTH} x {HEIGHT}, JPEG",
        }
        yield Workload(weights, bodies, json.loads((folder / "expected.json").read_text()), notes)


def photo_files() -> list[bytes]:
    """Return the photos as JPEG files, the same each time."""
    return [_jpeg(photo(seed)) for seed in SEEDS]


def photo(seed: int) -> Image.Image:
    """Compute one photo: the three colours share their light, and differ a little."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.fftfreq(WIDTH)[None])
    frequency[0, 0] = 1

    def layer(slope: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        spectrum = np.fft.fft2(random.normal(size=(HEIGHT, WIDTH))) / frequency**slope
        plane = np.fft.ifft2(spectrum).real
        return np.asarray((plane - plane.mean()) / plane.std(), np.float64)

    light = layer(random.uniform(1, 1.8))
    planes = [level + 0.2 * light + 0.06 * layer(1.6) for level in random.uniform(0.25, 0.65, 3)]
    return Image.fromarray((np.stack(planes, axis=-1).clip(0, 1) * 255).round().astype(np.uint8))


def form_body(file: bytes) -> bytes:
    """Put a file into a form of one field, as a browser does."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{FIELD}"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
