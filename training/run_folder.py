"""What is in a run folder already: nothing is overwritten that was not meant to be."""

from __future__ import annotations

import contextlib
import pickle
import tempfile
from pathlib import Path

import torch

from training import TrainingError
from training.epoch_log import METRICS_CSV
from training.export import FILE_NAME

METRICS = "metrics.json"


def prepare(folder: Path, *, resume: bool, force: bool) -> None:
    """Create the folder now, so that a bad name does not come up after an hour of training.

    With `force`, take away what a later `--resume` would mistake for this run's. Results stay until they are
    replaced. Raises TrainingError if it can't be written in, or holds another run and neither was asked for.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # each process of a group tries for itself
            pass
        if force:
            for path in (*folder.glob("*.state"), folder / METRICS, folder / METRICS_CSV):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot write in {folder}: {error.strerror}; choose another --out") from error
    if resume or force:
        return
    if (folder / METRICS).exists() or (folder / FILE_NAME).exists():
        raise TrainingError(
            f"{folder} holds a finished run; add --resume to go on from it, --force to replace it, or choose "
            "another --out"
        )
    if saved := saved_epochs(folder):
        raise TrainingError(
            f"{folder} holds an interrupted run ({saved}); add --resume to go on with it, --force to start "
            "again, or choose another --out"
        )


def saved_epochs(folder: Path) -> str:
    """How far the networks in the folder are: `teacher-1 2 of 2 epochs, student-1 1 of 4 …`, or empty."""
    told = []
    for path in sorted(folder.glob("*.state"), key=lambda path: path.stat().st_mtime_ns):
        with contextlib.suppress(OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError):
            state = torch.load(path, map_location="cpu", weights_only=True)
            told.append(f"{path.stem} {len(state['history'])} of {state['recipe']['epochs']} epochs")
    return ", ".join(told)
