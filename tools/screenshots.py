"""The pictures of the README: a real digit, drawn on the real page in a real browser.

`python -m tools.screenshots FOLDER` writes page-light.png, page-dark.png and page-phone.png.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.balancer import Balancer
from tests.support.browser import Browser
from tests.support.page import ANSWERS, clear, draw
from tests.support.paths import DATA
from tests.support.server import Server

REPLICAS = tuple(f"rust-ml-api-6c9f7d8b54-{name}" for name in ("4xk2p", "b7wqz", "tn9sd"))
WINDOWS = {
    "light": {"width": 1100, "height": 790},
    "dark": {"width": 1100, "height": 790, "dark": True},
    "phone": {"width": 390, "height": 844, "phone": True},
}
REPEAT = "document.getElementById('repeat').click()"


def take(browser: Browser, url: str, digits: NDArray[np.uint8], folder: Path, *, answers: int) -> list[Path]:
    """Draw digits behind a load balancer, ask for many answers, and take a picture in each kind of window."""
    paths = []
    for name, window in WINDOWS.items():
        browser.window(**window)
        browser.open(url)
        browser.evaluate(REPEAT)
        for i, digit in enumerate(digits, start=1):
            clear(browser)
            draw(browser, digit)
            browser.wait_for(f"{ANSWERS} >= {answers * i // len(digits)}")
        browser.evaluate(f"{REPEAT}; document.activeElement.blur()")
        paths.append(folder / f"page-{name}.png")
        browser.screenshot(paths[-1])
    return paths


def main(folder: Path) -> None:
    """Write the pictures, in few colours: they are part of the repository."""
    examples = [json.loads((DATA / f"digit-{i}.json").read_text()) for i in (0, 1, 9, 4, 2, 3)]
    digits = np.array([example["image"] for example in examples]).reshape(-1, 28, 28) * 255
    server = Server(Path(tempfile.mkdtemp()) / "server.log", {}).wait_until_ready()
    try:
        with Balancer(server.url, REPLICAS) as balancer, Browser() as browser:
            for path in take(browser, balancer.url, digits.astype(np.uint8), folder, answers=48):
                picture = Image.open(path).convert("RGB")
                picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    finally:
        server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
