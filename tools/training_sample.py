"""Write the small sample of MNIST in tests/data again, byte for byte, from the original files.

DIR holds MNIST/raw:

    python -m tools.training_sample DIR
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

from torchvision.datasets import MNIST

SAMPLE = Path(__file__).parents[1] / "tests" / "data"
# Ranges of MNIST's test images: those that stand in for a training set, and those for a test set.
PARTS = {"train": range(200, 600), "t10k": range(200)}


def write_sample(source: Path) -> None:
    """Make tests/data from the original test images in `source`."""
    test = MNIST(str(source), train=False)
    images, labels = test.data.numpy(), test.targets.numpy().astype("uint8")
    raw = SAMPLE / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for part, indices in PARTS.items():
        size, side = (number.to_bytes(4, "big") for number in (len(indices), 28))
        chosen = slice(indices.start, indices.stop)
        header = bytes([0, 0, 8, 3]) + size + side + side
        files = {
            f"{part}-images-idx3-ubyte.gz": header + images[chosen].tobytes(),
            f"{part}-labels-idx1-ubyte.gz": bytes([0, 0, 8, 1]) + size + labels[chosen].tobytes(),
        }
        for name, content in files.items():
            (raw / name).write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
    for digit in range(10):
        first = images[labels.tolist().index(digit)].flatten().tolist()
        body = {"image": [round(value / 255, 4) if value else 0 for value in first]}
        (SAMPLE / f"digit-{digit}.json").write_text(json.dumps(body, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]))
