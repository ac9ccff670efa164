"""Write what one would give to torch-model-archiver: a small model as TorchScript, and index_to_name.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torchvision.models import squeezenet1_1

NAMES = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]


def main() -> None:
    """Write both into the folder that is named; the weights are random."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.jit.script(squeezenet1_1(num_classes=len(NAMES)).eval()).save(str(folder / "flowers.pt"))
    (folder / "index_to_name.json").write_text(json.dumps({str(i): name for i, name in enumerate(NAMES)}))


if __name__ == "__main__":
    main()
