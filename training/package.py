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
import importlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import TrainingError
from training.export import quiet_torchscript, to_archive, to_npz
from training.files import write_bytes

IMAGENET = {
    "input": "3x224x224",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
    "pictures": "resize:256,crop:224",
}
MAX_EXAMPLES = 8
NOISE_CASES = 4
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
TOLERANCE = 1e-4
MAX_CONFIG_MAP_BYTES = 1_000_000


class Normalised(torch.nn.Module):
    """A module behind the normalisation that it was trained with."""

    def __init__(self, module: torch.nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.module = module
        self.mean = torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Give the module's logits for pixels in 0..1."""
        logits: Tensor = self.module((images - self.mean) / self.std)
        return logits


@dataclass
class Source:
    """A module, and what its file says about it."""

    module: torch.nn.Module
    kind: str
    name: str
    classes: list[str] = field(default_factory=list)
    preset: bool = False


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
    source = open_source(options.model)
    if options.preset == "imagenet" or source.preset:
        for key, value in IMAGENET.items():
            setattr(options, key, getattr(options, key) or value)
    shape = _shape(options.input)
    pictures = _pictures(options.pictures, shape)
    classes = _classes(options.classes) if options.classes else source.classes
    if not classes:
        raise TrainingError("the names of the classes are missing: --classes names.txt, or cat,dog")
    module = _normalised(source.module, shape[0], options.mean, options.std)
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
    golden = to_npz({"images": images, "labels": logits.argmax(axis=1).astype(np.int64), "logits": logits})
    out = Path(options.out or f"{card['name']}.pt")
    write_bytes(out, to_archive(module, card, golden))
    return [
        f"{source.kind}; {len(classes)} classes; input {'x'.join(map(str, shape))}; "
        f"{len(images)} golden cases {of}",
        f"{out}: {out.stat().st_size:,} bytes, {card['name']} {card['version']}",
        f"serve it:  MODEL_PATH={out} make serve",
        f"deploy it: {_deploy(out)}",
    ]


def _deploy(out: Path) -> str:
    upgrade = "helm upgrade --install rust-ml-api charts/rust-ml-api"
    if out.stat().st_size > MAX_CONFIG_MAP_BYTES:
        return f"{upgrade} --set model.url=https://WHERE-IT-IS/{out.name}"
    create = f"kubectl create configmap weights --from-file={out.name}={out}"
    return f"{create} && {upgrade} --set model.existingConfigMap=weights --set model.file={out.name}"


def open_source(name: str) -> Source:
    """Open a TorchScript file, a TorchServe archive, or ``module:factory``.

    Raises:
        TrainingError: it is none of these; the message says what it is, where that can be told.
    """
    path = Path(name)
    if path.suffix == ".mar":
        return _open_archive(path)
    if path.exists():
        return Source(load(path.read_bytes(), str(path)), "a TorchScript file", _slug(path.stem))
    if re.fullmatch(r"[\w.]+:[\w.]+", name):
        place, _, factory = name.partition(":")
        try:
            made = getattr(importlib.import_module(place), factory)()
        except (ImportError, AttributeError, TypeError) as error:
            raise TrainingError(f"{name} can't be called: {error}") from None
        if not isinstance(made, torch.nn.Module):
            raise TrainingError(f"{name} gives a {type(made).__name__}; expected a torch.nn.Module")
        return Source(made, f"{name}, scripted", _slug(factory))
    raise TrainingError(f"{name} is neither a file nor module:factory")


def load(data: bytes, name: str) -> torch.nn.Module:
    """Load TorchScript.

    Raises:
        TrainingError: it is something else that PyTorch saves, or nothing of it.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise TrainingError(f"{name} is not TorchScript: save it with torch.jit.script(model).save(path)")
    members = zipfile.ZipFile(io.BytesIO(data)).namelist()
    if any(re.search(r"(^|/)(archive_format|models/[^/]+\.json)$", each) for each in members):
        raise TrainingError(f"{name} is an exported program (.pt2); this service runs TorchScript")
    if not any(re.search(r"(^|/)code/", each) for each in members):
        is_pickle = any(each.endswith("data.pkl") for each in members)
        what = "a state dict or a pickled module" if is_pickle else "a ZIP file"
        raise TrainingError(
            f"{name} is {what}, not TorchScript: load it into your model, and save that with "
            "torch.jit.script(model.eval()).save(path)"
        )
    try:
        with quiet_torchscript():
            module: torch.nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(data), map_location="cpu"
            )
    except RuntimeError as error:
        raise TrainingError(f"{name} can't be loaded: {str(error).splitlines()[0]}") from None
    return module


def check(module: torch.jit.ScriptModule, shape: Sequence[int], classes: int) -> None:
    """Run a module as the service will.

    Raises:
        TrainingError: it takes or gives something else.
    """
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one = _logits(module, images[:1], classes)
        try:
            many = _logits(module, images, classes)
        except TrainingError as error:
            raise TrainingError(f"the module takes one image, but no batch of three: {error}") from None
        if not torch.allclose(many[:1], one, atol=TOLERANCE, rtol=TOLERANCE):
            raise TrainingError("an image's logits depend on its batch; save the module after .eval()")
        if not torch.equal(_logits(module, images, classes), many):
            raise TrainingError("an image has other logits each time; save the module after .eval()")


def _logits(module: torch.jit.ScriptModule, images: Tensor, classes: int) -> Tensor:
    try:
        logits = module(images)
    except Exception as error:  # whatever its author and PyTorch raise
        reason = (str(error).strip() or repr(error)).splitlines()[-1]
        raise TrainingError(f"the module does not take float32 {list(images.shape)}: {reason}") from None
    if not isinstance(logits, Tensor):
        raise TrainingError(f"the module gives a {type(logits).__name__}; expected a tensor of logits")
    if logits.dtype != torch.float32:
        raise TrainingError(f"the module gives {logits.dtype}; expected torch.float32")
    if logits.shape != (len(images), classes):
        raise TrainingError(
            f"the module gives {list(logits.shape)} for {len(images)} images; expected a logit for each of "
            f"{classes} classes"
        )
    return logits


def _open_archive(path: Path) -> Source:
    """Open an archive that torch-model-archiver has made."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
            serialized = manifest.get("serializedFile")
            if not serialized:
                raise TrainingError(f"{path} has no serializedFile; archive a TorchScript file")
            module = load(archive.read(serialized), f"{serialized} in {path}")
            names = archive.read("index_to_name.json") if "index_to_name.json" in archive.namelist() else b""
    except (KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise TrainingError(f"{path} is no TorchServe archive: {error}") from None
    handler = manifest.get("handler", "")
    classes = _names_by_index(names) if names else []
    name = _slug(manifest.get("modelName", path.stem))
    return Source(module, f"a TorchServe archive ({handler})", name, classes, handler == "image_classifier")


def _normalised(module: torch.nn.Module, channels: int, mean: str, std: str) -> torch.jit.ScriptModule:
    """Return a module, frozen, with the normalisation in front of it, if there is one."""
    tensors = (*module.parameters(), *module.buffers())
    types = {str(each.dtype) for each in tensors if each.is_floating_point()} - {"torch.float32"}
    if types:
        raise TrainingError(f"the module has {', '.join(sorted(types))}; call .float() before saving it")
    with quiet_torchscript():
        if mean or std:
            numbers = [_numbers(text or default, channels) for text, default in ((mean, "0"), (std, "1"))]
            module = Normalised(module, *numbers)
        module.eval()
        try:
            scripted = torch.jit.script(module)
            frozen: torch.jit.ScriptModule = (
                torch.jit.freeze(scripted) if hasattr(scripted, "training") else scripted
            )
        except Exception as error:  # whatever TorchScript does not know
            raise TrainingError(
                f"the module can't be scripted: {str(error).strip().splitlines()[0]}"
            ) from None
    return frozen


def _examples(folder: str, shape: Sequence[int], pictures: dict[str, Any]) -> tuple[NDArray[np.uint8], str]:
    """Return images, uint8 by row, column and, if there are three, channel; and what they are made of."""
    channels, height, width = shape
    sides = (height, width) if channels == 1 else (height, width, channels)
    if not folder:
        noise = np.random.default_rng(0).integers(0, 256, (NOISE_CASES, *sides), np.uint8)
        return noise, "of noise (give --examples FOLDER for real ones)"
    files = sorted(each for each in Path(folder).iterdir() if each.suffix.lower() in PICTURES)[:MAX_EXAMPLES]
    if not files:
        raise TrainingError(f"{folder} has no pictures ({', '.join(PICTURES)})")
    return np.stack([_prepare(file, shape, pictures) for file in files]), f"of the pictures in {folder}"


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


def _shape(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"([13])x(\d{1,4})x(\d{1,4})", text or "")
    if not found or "0" in found.groups():
        raise TrainingError(f"--input is {text!r}; expected channels x height x width, such as 3x224x224")
    channels, height, width = map(int, found.groups())
    return channels, height, width


def _pictures(text: str, shape: Sequence[int]) -> dict[str, Any]:
    """Read ``letterbox``, ``digit``, or ``resize:256,crop:224,bicubic``."""
    method, *rest = (text or "letterbox").split(",")
    interpolation = rest.pop() if rest and ":" not in rest[-1] else "bilinear"
    if method in ("letterbox", "digit") and not rest:
        return {"method": method, "interpolation": interpolation}
    parts = [each.partition(":") for each in (method, *rest)]
    values = {key: value for key, _, value in parts}
    if not values.keys() <= {"resize", "crop"} or not all(map(str.isdigit, values.values())):
        raise TrainingError(f"--pictures is {text!r}; expected resize:256,crop:224 or letterbox")
    crop = int(values.get("crop", shape[1]))
    if (crop, crop) != tuple(shape[1:]):
        raise TrainingError(f"--pictures crops to {crop} x {crop}, but --input is {shape[1]} x {shape[2]}")
    resize = int(values.get("resize", crop))
    return {"method": "resize", "resize_size": resize, "crop_size": crop, "interpolation": interpolation}


def _classes(text: str) -> list[str]:
    """Read a list (cat,dog), a file with a name on each line, or an ``index_to_name.json``."""
    path = Path(text)
    if path.suffix == ".json":
        return _names_by_index(path.read_bytes())
    if path.exists():
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if "," in text:
        return [name.strip() for name in text.split(",")]
    raise TrainingError(f"--classes is {text!r}; expected a file, or names such as cat,dog")


def _names_by_index(content: bytes) -> list[str]:
    """Read ``{"0": "cat", "1": ["n02123045", "tabby"]}``, or a list of names."""
    try:
        names = json.loads(content)
    except ValueError as error:
        raise TrainingError(f"the names of the classes are no JSON: {error}") from None
    if isinstance(names, dict):
        try:
            names = [names[str(index)] for index in range(len(names))]
        except KeyError as error:
            raise TrainingError(f"the names of the classes lack the index {error}") from None
    return [str(name[-1] if isinstance(name, list) else name) for name in names]


def _numbers(text: str, channels: int) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        raise TrainingError(f"{text!r} are not numbers such as 0.5,0.5,0.5") from None
    if len(numbers) not in (1, channels):
        raise TrainingError(f"{text!r} are {len(numbers)} numbers; the input has {channels} channels")
    return numbers * (channels // len(numbers))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


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
    parser.add_argument("--target", default="label", help="the answer's field for the class")
    parser.add_argument("--name", default="", help="the model's name; the file's, if not given")
    parser.add_argument("--out", default="", metavar="FILE", help="weights file to write: NAME.pt")
    return parser


if __name__ == "__main__":
    sys.exit(main())
