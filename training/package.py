"""Make a weights file of any image classifier: its card and golden cases go into the module's own file.

A TorchScript file, with the names of its classes, one on each line:

    python -m training.package my.pt --classes names.txt --input 3x64x64 --pictures resize:72,crop:64

One that was trained as torchvision's are; golden cases from a folder of pictures:

    python -m training.package resnet18.pt --preset imagenet --classes names.txt --examples photos

A TorchServe archive of its `image_classifier`, or a function that returns a module:

    python -m training.package resnet.mar
    python -m training.package torchvision.models:resnet18 --preset imagenet --classes names.json

The module takes float32 [N, channels, height, width] and gives float32 logits [N, classes] for any N. It is
frozen, and `--mean` and `--std` are put in front of it: the service gives it pixels in 0..1.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import TrainingError
from training.export import quiet_torchscript, to_archive, to_npz
from training.files import write_bytes
from training.next_steps import deploy_command, serve_command
from training.outliers import energy, fit
from training.package_module import check, gives_probabilities, prepare
from training.package_options import (
    check_classes,
    read_classes,
    read_numbers,
    read_pictures,
    read_shape,
    read_share,
)
from training.package_source import open_source

IMAGENET = {
    "input": "3x224x224",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
    "pictures": "resize:256,crop:224",
}
MAX_EXAMPLES = 8
NOISE_CASES = 4
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def main(arguments: list[str] | None = None) -> int:
    """Package a model and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        print("\n".join(package(options)))
    except (TrainingError, OSError) as error:
        print(f"training.package: {error}", file=sys.stderr)
        return 1
    return 0


def package(options: argparse.Namespace) -> list[str]:
    """Write the weights file; return what is to be said about it.

    Raises:
        TrainingError: the model, or what is said about it, can't be served; the message says why.
    """
    if options.outlier_examples and not options.examples:
        raise TrainingError("--outlier-examples needs --examples, pictures of the classes to tell them from")
    source = open_source(options.model)
    if options.preset == "imagenet" or source.preset:
        for key, value in IMAGENET.items():
            setattr(options, key, getattr(options, key) or value)
    shape = read_shape(options.input)
    pictures = read_pictures(options.pictures, shape)
    classes = read_classes(options.classes) if options.classes else source.classes
    if not classes:
        raise TrainingError("the names of the classes are missing: --classes names.txt, or cat,dog")
    check_classes(classes)
    mean, std = (read_numbers(text, shape[0]) if text else None for text in (options.mean, options.std))
    ends_in_softmax = gives_probabilities(source.module, shape)
    module = prepare(source.module, mean, std, gives_probabilities=ends_in_softmax)
    check(module, shape, len(classes))
    images, of = _examples(options.examples, shape, pictures)
    with torch.inference_mode():
        logits = module(_as_tensor(images)).numpy()
    card = {
        "format": 2,
        "name": options.name or source.name,
        "version": _version(module),
        "input": dict(zip(("channels", "height", "width"), shape, strict=True)),
        "classes": classes,
        "target": options.target,
        "pictures": pictures,
    }
    if options.accuracy is not None:
        card["metrics"] = {"test_accuracy": read_share(options.accuracy, "--accuracy")}
    told = []
    if options.outlier_examples:
        if ends_in_softmax:
            raise TrainingError("--outlier-examples needs logits; what the softmax at the end lost is lost")
        inliers, outliers = (
            _energies(module, folder, shape, pictures)
            for folder in (options.examples, options.outlier_examples)
        )
        card["outlier"], sentence = fit(inliers, outliers, read_share(options.outlier_rate, "--outlier-rate"))
        told = [sentence]
    golden = to_npz({"images": images, "labels": logits.argmax(axis=1).astype(np.int64), "logits": logits})
    out = Path(options.out or f"{card['name']}.pt")
    write_bytes(out, to_archive(module, card, golden))
    return [
        f"{source.kind}; {len(classes)} classes; input {'x'.join(map(str, shape))}; "
        f"{len(images)} golden cases {of}" + "; the softmax at its end is undone" * ends_in_softmax,
        *told,
        f"{out}: {out.stat().st_size:,} bytes, {card['name']} {card['version']}",
        f"serve it:  {serve_command(out)}",
        f"deploy it: {deploy_command(out, str(card['version']))}",
    ]


def _examples(folder: str, shape: Sequence[int], pictures: dict[str, Any]) -> tuple[NDArray[np.uint8], str]:
    """Return images, uint8 by row, column and, if there are three, channel; and what they are made of."""
    channels, height, width = shape
    sides = (height, width) if channels == 1 else (height, width, channels)
    if not folder:
        noise = np.random.default_rng(0).integers(0, 256, (NOISE_CASES, *sides), np.uint8)
        return noise, "of noise (give --examples FOLDER for real ones)"
    files = _pictures_in(folder)[:MAX_EXAMPLES]
    return np.stack([_prepare(file, shape, pictures) for file in files]), f"of the pictures in {folder}"


def _energies(
    module: torch.jit.ScriptModule, folder: str, shape: Sequence[int], pictures: dict[str, Any]
) -> NDArray[np.float64]:
    """Return the energy of each picture in a folder, one after the other: there may be many."""
    with torch.inference_mode():
        images = (_prepare(file, shape, pictures) for file in _pictures_in(folder))
        return np.concatenate([energy(module(_as_tensor(np.stack([image]))).numpy()) for image in images])


def _pictures_in(folder: str) -> list[Path]:
    files = sorted(each for each in Path(folder).iterdir() if each.suffix.lower() in PICTURES)
    if not files:
        raise TrainingError(f"{folder} has no pictures ({', '.join(PICTURES)})")
    return files


def _prepare(file: Path, shape: Sequence[int], pictures: dict[str, Any]) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps
    from torchvision.transforms import functional as transforms

    channels, height, width = shape
    with Image.open(file) as opened:
        picture = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
    mode = transforms.InterpolationMode(pictures.get("interpolation", "bilinear"))
    if pictures["method"] == "resize":
        picture = transforms.resize(picture, [pictures["resize_size"]], interpolation=mode)
    else:
        scale = min(width / picture.width, height / picture.height)
        size = [max(1, round(picture.height * scale)), max(1, round(picture.width * scale))]
        picture = transforms.resize(picture, size, interpolation=mode)
    return np.asarray(transforms.center_crop(picture, [height, width]), np.uint8)


def _as_tensor(images: NDArray[np.uint8]) -> Tensor:
    tensor = torch.from_numpy(images).float() / 255
    return tensor.unsqueeze(1) if tensor.dim() == 3 else tensor.permute(0, 3, 1, 2)


def _version(module: torch.jit.ScriptModule) -> str:
    """A hash of the module's graph and constants: equal models have equal versions."""
    buffer = io.BytesIO()
    with quiet_torchscript():
        torch.jit.save(module, buffer)
    with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as archive:
        records = [info for info in archive.infolist() if not info.filename.endswith(".debug_pkl")]
        content = b"".join(archive.read(each) for each in sorted(records, key=lambda each: each.filename))
    return hashlib.sha256(content).hexdigest()[:12]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.package",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="TorchScript file, TorchServe archive (.mar), or module:factory")
    parser.add_argument("--classes", default="", help="file of names, index_to_name.json, or cat,dog")
    parser.add_argument("--input", default="", metavar="CxHxW", help="such as 3x224x224")
    parser.add_argument("--mean", default="", help="that it was trained with, one number for each channel")
    parser.add_argument("--std", default="", help="the same")
    parser.add_argument("--pictures", default="", help="resize:256,crop:224[,bicubic] or letterbox (default)")
    parser.add_argument("--preset", choices=["imagenet"], help="input, mean, std, pictures as torchvision's")
    parser.add_argument("--examples", default="", metavar="FOLDER", help="pictures for the golden cases")
    parser.add_argument(
        "--outlier-examples", default="", metavar="FOLDER", help="pictures of none of the classes, to be told"
    )
    parser.add_argument(
        "--outlier-rate",
        default="0.005",
        metavar="SHARE",
        help="of --examples that may count as outliers",
    )
    parser.add_argument("--accuracy", metavar="SHARE", help="of test images that it gets right, 0 to 1")
    parser.add_argument("--target", default="label", help="the answer's field for the class")
    parser.add_argument("--name", default="", help="the model's name; the file's, if not given")
    parser.add_argument("--out", default="", metavar="FILE", help="weights file to write: NAME.pt")
    return parser


if __name__ == "__main__":
    sys.exit(main())
