"""The gallery of the page: digits of MNIST's test set, those that the bundled weights get wrong among them.

`python -m tools.gallery [--data FOLDER]` writes gallery.png, a sprite, and gallery.json, what its digits are,
beside the page's other files. The page asks the weights that serve about them; run it again for new weights,
so that the hardest digits are theirs. FOLDER is laid out as torchvision has it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import MNIST

from service.api.ui import STATIC
from service.inference.batching import batch_sizes
from service.inference.model import load_model
from service.inference.prediction import predictions
from service.inference.torchscript import configure_torch
from service.settings import BUNDLED_MODEL
from tests.support.paths import ROOT

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

SIDE, COLUMNS, ROWS = 28, 10, 4
HARD = 16  # of them: wrong, or nearly so
BATCH = 200


def right_probabilities(images: Pixels, labels: Labels) -> NDArray[np.float32]:
    """Return how likely the bundled weights take each image for what it is, below 0 where they are wrong."""
    configure_torch(1)
    model = load_model(BUNDLED_MODEL, batch_sizes=batch_sizes(BATCH))
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    logits = np.concatenate(
        [model.logits(flat[start : start + BATCH]).copy() for start in range(0, len(flat), BATCH)]
    )
    probabilities = np.stack([answer.probabilities for answer in predictions(logits, model.card)])
    right = probabilities[np.arange(len(labels)), labels]
    return np.where(probabilities.argmax(axis=1) == labels, right, right - 1)


def choose(images: Pixels, labels: Labels) -> list[int]:
    """Return the places of the hardest digits and of as many plain ones as fit, mixed."""
    order = np.argsort(right_probabilities(images, labels), kind="stable")
    hard = order[:HARD].tolist()
    plain = [place for place in range(len(labels)) if place not in set(hard)]
    chosen = hard + plain[: COLUMNS * ROWS - HARD]
    return [chosen[at] for at in np.random.default_rng(0).permutation(len(chosen))]


def write(images: Pixels, labels: Labels, folder: Path) -> None:
    """Write the sprite and the labels of these digits."""
    rows = images.reshape(ROWS, COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3)
    Image.fromarray(rows.reshape(ROWS * SIDE, COLUMNS * SIDE)).save(folder / "gallery.png", optimize=True)
    (folder / "gallery.json").write_text(json.dumps({"labels": labels.tolist()}) + "\n")


def main() -> None:
    """Write the gallery."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "mnist")
    test = MNIST(parser.parse_args().data, train=False)
    images, labels = test.data.numpy(), test.targets.numpy()
    chosen = choose(images, labels)
    write(images[chosen], labels[chosen], STATIC)


if __name__ == "__main__":
    main()
