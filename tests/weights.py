"""Weights files for tests: tiny, real, and wrong in any one way that is asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


def constant(digit: int) -> torch.nn.Module:
    """A model that sees the same digit in every image: an answer tells which model gave it."""
    linear = torch.nn.Linear(784, 10)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(5.0 * torch.eye(10)[digit])
    return torch.nn.Sequential(torch.nn.Flatten(), linear)


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
