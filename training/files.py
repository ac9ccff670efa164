"""Writing results so that a reader, or a full disk, never meets half a file."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from training import TrainingError


def write_bytes(path: Path, content: bytes, *, option: str = "--out") -> None:
    """Replace a file atomically; raises TrainingError when the disk is full or the folder is not ours.

    `option` is the one to choose another place with.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise TrainingError(f"cannot write {path}: {error.strerror}; choose another {option}") from error


def as_json(content: dict[str, Any]) -> str:
    """JSON as this project writes it: indented, keys sorted, a newline at the end."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
