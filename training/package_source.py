"""What is packaged: a module out of a TorchScript file, a TorchServe archive or a function."""

from __future__ import annotations

import importlib
import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

from training import TrainingError
from training.export import quiet_torchscript
from training.package_options import names_by_index

TORCHSERVE_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}", re.ASCII)


@dataclass
class Source:
    """A module, and what its file says about it."""

    module: torch.nn.Module
    kind: str
    name: str
    classes: list[str] = field(default_factory=list)
    preset: bool = False


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
        except Exception as error:  # whatever somebody else's function raises
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise TrainingError(f"{name} can't be called: {reason}") from None
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
    classes = names_by_index(names) if names else []
    name = str(manifest.get("modelName", path.stem))
    name = name if TORCHSERVE_NAME.fullmatch(name) else _slug(name)  # clients ask for it as it is
    return Source(module, f"a TorchServe archive ({handler})", name, classes, handler == "image_classifier")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
