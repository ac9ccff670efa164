"""The small sample of MNIST in tests/data, as a folder that `python -m training` reads."""

from __future__ import annotations

import gzip
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data"


def unpack_sample(folder: Path) -> Path:
    """Write the sample as the raw files that torchvision reads, and return the folder to pass as --data."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (SAMPLE / "MNIST" / "raw").glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder
