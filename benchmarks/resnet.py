"""Make ResNet-18 as a user would: ``python -m benchmarks.resnet FOLDER``.

It writes

- ``resnet18.pt``: its weights file, made with ``python -m training.package``
- ``archive/resnet18.mar``: the same parameters for TorchServe, with ``--archive``
- ``expected.json``: the label that PyTorch itself gives for each of the benchmark's photos
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.models import ResNet18_Weights, resnet18

from benchmarks.photos import photo_files
from training import package

LABELS = [f"class {index}" for index in range(1000)]


def main() -> None:
    """Write everything into the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resnet")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--archive", action="store_true", help="for TorchServe, too")
    options = parser.parse_args()
    photos = read_photos()
    module = make_module(photos)
    with torch.inference_mode():
        places = module(photos).argmax(dim=1).tolist()
    (options.folder / "expected.json").write_text(json.dumps([LABELS[place] for place in places]))
    plain = options.folder / "plain.pt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`?torch.jit")
        torch.jit.script(module).save(str(plain))  # type: ignore[no-untyped-call]
    write_weights(options.folder, plain)
    if options.archive:
        write_archive(options.folder / "archive", plain)


def read_photos() -> torch.Tensor:
    """Read the photos with torchvision's own preset of the model."""
    preset: Any = ResNet18_Weights.IMAGENET1K_V1.transforms()
    return torch.stack([preset(Image.open(io.BytesIO(file))) for file in photo_files()])


def make_module(photos: torch.Tensor) -> torch.nn.Module:
    """Make the module with random weights, the same each time.

    Batch normalisation gets the statistics of the photos: with those that it starts with, a random network
    gives one label to every photo, and answers could not be told apart.
    """
    torch.manual_seed(0)
    module: torch.nn.Module = resnet18()
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        module.train()(photos)
    return module.eval()


def write_weights(folder: Path, plain: Path) -> None:
    """Package the TorchScript file with the imagenet preset, golden cases of the photos inside."""
    examples = folder / "photos"
    examples.mkdir()
    for number, file in enumerate(photo_files()):
        (examples / f"{number}.jpg").write_bytes(file)
    names = folder / "names.txt"
    names.write_text("\n".join(LABELS))
    options = ["--preset", "imagenet", "--classes", str(names), "--examples", str(examples)]
    options += ["--name", "resnet18", "--out", str(folder / "resnet18.pt")]
    if package.main([str(plain), *options]) != 0:
        sys.exit(1)


def write_archive(folder: Path, plain: Path) -> None:
    """Archive the TorchScript file for TorchServe's `image_classifier`, which normalises pictures itself."""
    folder.mkdir()
    names = folder / "index_to_name.json"
    names.write_text(json.dumps(dict(enumerate(LABELS))))
    command = [sys.executable, "-m", "model_archiver.model_packaging", "--model-name", "resnet18"]
    command += ["--version", "1.0", "--handler", "image_classifier", "--serialized-file", str(plain)]
    command += ["--extra-files", str(names), "--export-path", str(folder)]
    # It puts everything into a folder of the model's name first, which another process may be using.
    subprocess.run(command, env={**os.environ, "TMPDIR": str(folder)}, check=True)


if __name__ == "__main__":
    main()
