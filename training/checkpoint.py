"""What a run leaves after each epoch, and how `--resume` goes on from it."""

from __future__ import annotations

import dataclasses
import io
import pickle
from pathlib import Path

import torch

from training import TrainingError, distributed
from training.files import write_bytes
from training.train import Trainer


def save(trainer: Trainer, path: Path) -> None:
    """Write the state of training; an interrupted or failed write leaves the file of the epoch before."""
    buffer = io.BytesIO()
    torch.save({"recipe": dataclasses.asdict(trainer.recipe), **trainer.state()}, buffer)
    write_bytes(path, buffer.getvalue())


def resume(trainer: Trainer, path: Path) -> None:
    """Bring the trainer to where the file was written, if there is one.

    In a group the first process reads it for all: on a network file system others may still see the file of
    the epoch before, and would then wait in vain. Raises TrainingError if it cannot be read or is of a run
    with other options or another network.
    """
    content = distributed.from_first(lambda: _read(path))
    if content is None:
        return
    try:
        state = torch.load(io.BytesIO(content), map_location=trainer.device, weights_only=True)
        recipe = state.pop("recipe")
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise _unreadable(path) from error
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


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> TrainingError:
    return TrainingError(f"cannot read {path}; start again with --force")
