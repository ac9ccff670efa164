"""How many digits are read in pictures with surroundings, scene by scene; see ``tests/support/scenes.py``.

DIR holds MNIST/raw, whose test images are written; those from FIRST on, and each COUNT times:

    python -m tools.picture_accuracy DIR [--first 1000] [--count 40] [--seed 0] [--save FOLDER]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from service.errors import ServiceError
from service.inference.model import load_model
from service.inference.torchscript import configure_torch
from service.inputs.digits import SHAPE
from service.inputs.pictures import read_picture
from service.inputs.preprocessing import Preprocessing
from service.settings import BUNDLED_MODEL
from tests.support.pictures import save
from tests.support.scenes import SCENES, picture

CONFIDENT = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DIR")
    parser.add_argument("--first", type=int, default=1000, help="the first test image of MNIST")
    parser.add_argument("--count", type=int, default=40, help="digits in each scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scene", action="append", choices=SCENES, help="only this; may be repeated")
    parser.add_argument("--save", type=Path, help="folder for the pictures that are read wrong")
    options = parser.parse_args()
    raw = options.data / "MNIST" / "raw"
    chosen = slice(options.first, options.first + options.count)
    digits = np.fromfile(raw / "t10k-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)[chosen]
    labels = np.fromfile(raw / "t10k-labels-idx1-ubyte", np.uint8)[8:][chosen]
    configure_torch(1)
    model = load_model(BUNDLED_MODEL, batch_sizes=[1])

    print(f"{'scene':12} {'right':>7} {'refused':>8} {'confident and wrong':>20} {'ms a picture':>13}")
    for scene in options.scene or SCENES:
        right = refused = confident = 0
        started = time.perf_counter()
        spent = 0.0
        for number, (digit, label) in enumerate(zip(digits, labels, strict=True)):
            seen = picture(scene, digit, options.seed * 10_000 + number)
            data = save(seen)
            started = time.perf_counter()
            try:
                image = read_picture(data, 1 << 22, SHAPE, Preprocessing())
            except ServiceError:
                image, refused = np.zeros(784, np.float32), refused + 1
            spent += time.perf_counter() - started
            logits = model.logits(image[None])[0].astype(float)
            shares = np.exp(logits - logits.max())
            shares /= shares.sum()
            best = int(shares.argmax())
            if best == label and image.any():
                right += 1
                continue
            confident += bool(shares.max() > CONFIDENT and image.any())
            if options.save:
                options.save.mkdir(parents=True, exist_ok=True)
                name = f"{scene.replace(' ', '-')}-{number}-{label}-as-{best}"
                shown = Image.new("RGB", (512, 256), "navy")
                seen.thumbnail((256, 256))
                shown.paste(seen.convert("RGB"), (0, 0))
                grey = Image.fromarray((255 * image.reshape(28, 28)).astype(np.uint8))
                shown.paste(grey.resize((256, 256), Image.Resampling.NEAREST), (256, 0))
                shown.save(options.save / f"{name}.png")
        count = len(digits)
        print(
            f"{scene:12} {right / count:7.1%} {refused:8} {confident / count:20.1%} "
            f"{1000 * spent / count:13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
