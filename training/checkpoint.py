"""What a run leaves after each epoch, and how `--resume` goes on from it."""

from __future__ import annotations

import dataclasses
import io
import pickle
from pathlib import Path

import torch

from training import TrainingError
from training.files import write_bytes
from training.train import Trainer


def save(trainer: Trainer, path: Path) -> None:
    """Write the state of training; an interrupted or failed write leaves the file of the epoch before."""
    buffer = io.BytesIO()
    torch.save({"recipe": dataclasses.asdict(trainer.recipe), **trainer.state()}, buffer)
    write_bytes(path, buffer.getvalue())


def resume(trainer: Trainer, path: Path) -> None:
    """Bring the trainer to where the file was written, if there is one.

    Raises TrainingError if the file cannot be read or comes from a run with other options or another network.
    """
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location=trainer.device, weights_only=True)
        recipe = state.pop("recipe")
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(f"cannot read {path}; start again with --force") from error
    wanted = dataclasses.asdict(trainer.recipe)
    differing = [f"{name} {recipe.get(name)}" for name, value in wanted.items() if recipe.get(name) != value]
    if differing:
        raise TrainingError(
            f"{path} was trained with {', '.join(differing)}; give the same, or start again with --force"
        )
    try:
        trainer.restore(state)
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{path} is of another network; choose another --out, or start again with --force"
        ) from error
