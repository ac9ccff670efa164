"""Reading a weights file with torch alone, as anybody could."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch


def read_weights_file(path: Path) -> tuple[torch.jit.ScriptModule, dict[str, Any], dict[str, Any]]:
    """The module, its card and its golden cases."""
    extra = {"model.json": b"", "golden.npz": b""}
    module = torch.jit.load(str(path), _extra_files=extra)
    with np.load(io.BytesIO(extra["golden.npz"]), allow_pickle=False) as golden:
        return module, json.loads(extra["model.json"]), dict(golden)
