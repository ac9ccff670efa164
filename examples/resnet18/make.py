"""Write torchvision's ResNet-18 as TorchScript, with random weights, and the names of ImageNet's classes."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torchvision.models import ResNet18_Weights, resnet18


def main() -> None:
    """Write the module to the first file that is named, and the names to the second."""
    torch.manual_seed(0)
    # For the trained ones, which torchvision downloads: resnet18(weights=ResNet18_Weights.DEFAULT)
    torch.jit.script(resnet18().eval()).save(sys.argv[1])
    Path(sys.argv[2]).write_text("\n".join(ResNet18_Weights.DEFAULT.meta["categories"]), encoding="utf-8")


if __name__ == "__main__":
    main()
