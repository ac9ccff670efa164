"""Train an ensemble of teachers, if any, write their soft labels once, and train students on them.

Asking the teachers at each step costs many times what the student itself does. Here they label some augmented
views of every image before the student starts, and it goes through one view per epoch, in turn. What is kept
are soft labels, the teachers' probabilities at a temperature (Hinton et al., "Distilling the Knowledge in a
Neural Network", 2015), as in Shen and Xing, "A Fast Knowledge Distillation Framework for Visual Recognition"
(2022). Teachers and student see the very same pixels (Beyer et al., "Knowledge distillation: A good teacher
is patient and consistent", 2022).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training import TrainingError, checkpoint, distributed
from training.augment import AugmentedBatches, recipe_augmentation
from training.data import Batch, Batches, Digits
from training.epoch_log import EpochLog
from training.files import as_json
from training.model import (
    CLASSES,
    STUDENT,
    TEACHER,
    DigitNet,
    Layer,
    content_hash,
    parameters_hash,
    predict,
    with_no_digit,
)
from training.progress import Progress
from training.recipe import Recipe
from training.train import Epoch, Trainer

# One augmented image and its soft label; a file is an array (views, images) of these, as of np.save.
LABELLED_IMAGE = np.dtype([("image", np.uint8, (28, 28)), ("soft_label", np.float32, (len(CLASSES) + 1,))])
CHUNK = 128


@dataclass(frozen=True)
class Student:
    """A network at the end of its training."""

    recipe: Recipe
    model: DigitNet
    history: list[Epoch]


@dataclass(frozen=True)
class Distillation:
    """Trains teachers and students on `train`, and keeps their checkpoints and soft labels in `folder`."""

    folder: Path
    train: Digits
    validation: Digits
    device: torch.device
    resume: bool
    log: EpochLog | None = None

    def train_students(self, recipe: Recipe, count: int) -> list[Student]:
        """Train the network that is served, `count` times from seed to seed, and before it its teachers."""
        batches = self._batches(recipe)
        recipes = [recipe.student(number) for number in range(1, count + 1)]
        return [self._train_one(f"student-{own.seed}", STUDENT, own, batches) for own in recipes]

    def _batches(self, recipe: Recipe) -> Batches:
        """Images with the teachers' soft labels, or freshly augmented ones where there are no teachers."""
        augmented = AugmentedBatches(self.train, recipe, device=self.device)
        if not recipe.teachers:
            return augmented
        ensemble = [
            self._train_one(f"teacher-{number}", TEACHER, recipe.teacher(number), augmented).model
            for number in range(1, recipe.teachers + 1)
        ]
        path = self.folder / file_name(self.train, ensemble, recipe)
        with distributed.rank_zero_first():
            if distributed.rank() == 0 and not (self.resume and path.exists()):
                write_soft_labels(path, self.train, ensemble, recipe)
        return SoftLabelBatches(path, self.train.labels, device=self.device)

    def _train_one(self, name: str, layers: tuple[Layer, ...], recipe: Recipe, batches: Batches) -> Student:
        """Train one network, leaving a checkpoint behind after every epoch."""
        torch.manual_seed(recipe.seed)
        trainer = Trainer(DigitNet(layers), batches, recipe, device=self.device)
        path = self.folder / f"{name}.state"
        if self.resume:
            checkpoint.resume(trainer, path)
        if self.log is not None:
            for epoch in trainer.history:
                self.log.add(name, epoch)

        def save(trainer: Trainer) -> None:
            if distributed.rank() == 0:
                checkpoint.save(trainer, path)
            if self.log is not None:
                self.log.add(name, trainer.history[-1])

        model = trainer.run(self.validation, after_epoch=save, title=name)
        if distributed.world_size() > 1:
            print(
                f"{name}: {distributed.told()} has parameters {parameters_hash(trainer.model)[:12]}",
                flush=True,
            )
        return Student(recipe, model, trainer.history)


def file_name(digits: Digits, ensemble: Sequence[DigitNet], recipe: Recipe) -> str:
    """A name made of all that decides the soft labels: a file that has it can be used again."""
    decisive = ("views", "defects", "warp", "low_resolution", "distillation_temperature", "bfloat16")
    facts = {
        "digits": hashlib.sha256(digits.images.numpy().tobytes()).hexdigest(),
        "teachers": [content_hash(teacher) for teacher in ensemble],
        **{name: getattr(recipe, name) for name in decisive},
    }
    return f"soft-labels-{hashlib.sha256(as_json(facts).encode()).hexdigest()[:12]}.npy"


def write_soft_labels(path: Path, digits: Digits, ensemble: Sequence[DigitNet], recipe: Recipe) -> None:
    """Let the teachers label views of all images, on their device; the file has its name only once whole.

    Raises TrainingError if the disk has no room for it, before the work begins.
    """
    part = path.with_name(f".{path.name}.part")
    shape = (recipe.views, len(digits))
    try:
        views = np.lib.format.open_memmap(part, "w+", LABELLED_IMAGE, shape)
        # Without room of its own, a page of the map that finds the disk full would kill the process.
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
        _fill(views, digits, ensemble, recipe)
        views.flush()
        part.replace(path)
    except OSError as error:
        needed = recipe.views * len(digits) * LABELLED_IMAGE.itemsize
        raise TrainingError(
            f"cannot write {path}: {error.strerror}; "
            f"{recipe.views} views of {len(digits):,} images need {needed / 1e6:,.1f} MB: "
            "make room, lower --views or choose another --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _fill(
    views: np.ndarray[tuple[int, int], np.dtype[np.void]],
    digits: Digits,
    ensemble: Sequence[DigitNet],
    recipe: Recipe,
) -> None:
    """Make each view and its soft labels."""
    device = next(ensemble[0].parameters()).device
    augment = recipe_augmentation(recipe)
    with Progress("soft labels", views.size, "images") as shows:
        for number, view in enumerate(views):
            torch.manual_seed(number)  # of the view alone, so that students of any seed can share them
            for start in range(0, len(digits), CHUNK):
                chunk = slice(start, start + CHUNK)
                pixels = digits.take(chunk).images.to(device).float() / 255
                images = (augment(pixels) * 255).round().to(torch.uint8)
                view["image"][chunk] = images.squeeze(1).cpu().numpy()
                view["soft_label"][chunk] = soft_labels(images.float() / 255, ensemble, recipe).numpy()
                shows.update(len(images))


def soft_labels(images: Tensor, ensemble: Sequence[DigitNet], recipe: Recipe) -> Tensor:
    """The mean over the teachers of their probabilities (N, 11) at the temperature, on the CPU."""
    logits = [with_no_digit(predict(teacher, images, bfloat16=recipe.bfloat16)) for teacher in ensemble]
    probabilities = [F.softmax(each / recipe.distillation_temperature, dim=1) for each in logits]
    return torch.stack(probabilities).mean(dim=0)


class SoftLabelBatches:
    """The labelled views in a file, one view for each epoch; many processes can share the file."""

    def __init__(self, path: Path, labels: Tensor, *, device: torch.device) -> None:
        self.views = np.load(path, mmap_mode="r", allow_pickle=False)
        self.labels = labels.to(device)
        self.image_count = len(labels)

    def epoch(self, number: int, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """Take the images as they are in this epoch's view, with their soft labels."""
        view = self.views[(number - 1) % len(self.views)]
        device = self.labels.device
        images = torch.from_numpy(view["image"].copy()).unsqueeze(1).to(device)
        soft_labels = torch.from_numpy(view["soft_label"].copy()).to(device)
        for chosen in indices:
            chosen = chosen.to(device)
            yield Batch(images[chosen].float() / 255, self.labels[chosen], soft_labels[chosen])
