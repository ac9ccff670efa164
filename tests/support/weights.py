"""Weights files for tests: tiny, real, and wrong in any one way that is asked for."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service.errors import InvalidModel
from service.inference.model import load_model
from tests.support.models import constant


def npz(**arrays: NDArray) -> bytes:
    """The bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def golden_cases(module: torch.nn.Module) -> dict[str, NDArray]:
    """Three images of noise, and what the model makes of them."""
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)
    with torch.no_grad():
        logits = module(torch.from_numpy(images).float().div(255).unsqueeze(1)).numpy()
    return {"images": images, "labels": logits.argmax(axis=1).astype(np.uint8), "logits": logits}


def write(
    path: Path,
    module: torch.nn.Module | None = None,
    *,
    version: str = "0123456789ab",
    card: bytes | None = None,
    golden: bytes | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a weights file that is right, but for what is given."""
    module = (module or constant(0)).eval()
    if extra is None:
        good = json.dumps({"format": 1, "name": "tiny", "version": version}).encode()
        extra = {
            "model.json": good if card is None else card,
            "golden.npz": npz(**golden_cases(module)) if golden is None else golden,
        }
    torch.jit.save(torch.jit.freeze(torch.jit.script(module)), path, _extra_files=dict(extra))
    return path


def golden(**changes: NDArray | None) -> bytes:
    """Golden cases of the default model, some arrays replaced; None leaves one out."""
    arrays = {**golden_cases(constant(0)), **changes}
    return npz(**{name: array for name, array in arrays.items() if array is not None})


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def refusal(path: Path, **options: Any) -> str:
    """What is wrong with a file, in the words of the service, the path left out."""
    with pytest.raises(InvalidModel) as caught:
        load_model(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


def write_constant(path: Path, digit: int) -> Path:
    """Write weights of version "digit N" that see the digit N in every image."""
    return write(path, constant(digit), version=f"digit {digit}")
