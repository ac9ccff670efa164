"""Lessons: augmented views of the training images, and what the teachers say of each, made once and kept.

Asking the teachers at each step costs many times what the student itself does. Here they label some views of
every image before the student starts, and it goes through one view per epoch, in turn. What is kept are
softened probabilities (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015), as in Shen and
Xing, "A Fast Knowledge Distillation Framework for Visual Recognition" (2022). Teachers and student see the
very same pixels (Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", 2022).
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
from tqdm import tqdm

from training import TrainingError, checkpoint, distributed
from training.augment import Augmented, augmentation
from training.data import Batch, Batches, Digits
from training.files import as_json
from training.model import CLASSES, STUDENT, TEACHER, DigitNet, Layer, content_hash, predict
from training.recipe import Recipe
from training.train import Epoch, Trainer

# One image and what the teachers say of it; a file is an array (views, images) of these, as of np.save.
LESSON = np.dtype([("image", np.uint8, (28, 28)), ("taught", np.float32, (len(CLASSES),))])
CHUNK = 128


@dataclass(frozen=True)
class Student:
    """A network at the end of its training."""

    recipe: Recipe
    model: DigitNet
    history: list[Epoch]


@dataclass(frozen=True)
class School:
    """Images to learn from and to choose by, and the folder in which states are kept and looked for."""

    folder: Path
    learning: Digits
    validation: Digits
    device: torch.device
    resume: bool

    def students(self, recipe: Recipe, count: int) -> list[Student]:
        """Train the network that is served, `count` times from seed to seed, and before it its teachers."""
        batches = self._batches(recipe)
        each = [recipe.student(number) for number in range(1, count + 1)]
        return [self._train(f"student-{own.seed}", STUDENT, own, batches) for own in each]

    def _batches(self, recipe: Recipe) -> Batches:
        """The teachers' lessons, or freshly augmented images where there are no teachers."""
        augmented = Augmented(self.learning, defects=recipe.defects, warp=recipe.warp, device=self.device)
        if not recipe.teachers:
            return augmented
        teachers = [
            self._train(f"teacher-{number}", TEACHER, recipe.teacher(number), augmented).model
            for number in range(1, recipe.teachers + 1)
        ]
        path = self.folder / file_name(self.learning, teachers, recipe)
        with distributed.leader_first():
            if distributed.rank() == 0 and not (self.resume and path.exists()):
                write_lessons(path, self.learning, teachers, recipe)
        return Lessons(path, self.learning.labels, device=self.device)

    def _train(self, name: str, layers: tuple[Layer, ...], recipe: Recipe, batches: Batches) -> Student:
        """Train one network, leaving its state behind after every epoch."""
        torch.manual_seed(recipe.seed)
        trainer = Trainer(DigitNet(layers), batches, recipe, device=self.device)
        state = self.folder / f"{name}.state"
        if self.resume:
            checkpoint.resume(trainer, state)

        def keep(trainer: Trainer) -> None:
            if distributed.rank() == 0:
                checkpoint.save(trainer, state)

        model = trainer.run(self.validation, after_epoch=keep, title=name)
        return Student(recipe, model, trainer.history)


class Lessons:
    """The lessons in a file, read one view at a time; many processes can share the file."""

    def __init__(self, path: Path, labels: Tensor, *, device: torch.device) -> None:
        self.views = np.load(path, mmap_mode="r", allow_pickle=False)
        self.labels = labels.to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(self, number: int, picks: Iterable[Tensor]) -> Iterator[Batch]:
        """Take the images as they are in this epoch's view, with the teachers' probabilities."""
        view = self.views[(number - 1) % len(self.views)]
        device = self.labels.device
        images = torch.from_numpy(view["image"].copy()).unsqueeze(1).to(device)
        taught = torch.from_numpy(view["taught"].copy()).to(device)
        for indices in picks:
            indices = indices.to(device)
            yield Batch(images[indices].float() / 255, self.labels[indices], taught[indices])


def file_name(digits: Digits, teachers: Sequence[DigitNet], recipe: Recipe) -> str:
    """A name made of all that decides the lessons: a file that has it can be used again."""
    facts = {
        "digits": hashlib.sha256(digits.images.numpy().tobytes()).hexdigest(),
        "teachers": [content_hash(teacher) for teacher in teachers],
        **{name: getattr(recipe, name) for name in ("views", "defects", "warp", "softness", "bfloat16")},
    }
    return f"lessons-{hashlib.sha256(as_json(facts).encode()).hexdigest()[:12]}.npy"


def write_lessons(path: Path, digits: Digits, teachers: Sequence[DigitNet], recipe: Recipe) -> None:
    """Let the teachers label views of all images, on their device; the file has its name only once whole.

    Raises TrainingError if the disk has no room for it, before the work begins.
    """
    aside = path.with_name(f".{path.name}.part")
    shape = (recipe.views, len(digits))
    try:
        lessons = np.lib.format.open_memmap(aside, "w+", LESSON, shape)
        # Without room of its own, a page of the map that finds the disk full would kill the process.
        with aside.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, aside.stat().st_size)
        _fill(lessons, digits, teachers, recipe)
        lessons.flush()
        aside.replace(path)
    except OSError as error:
        needed = recipe.views * len(digits) * LESSON.itemsize
        raise TrainingError(
            f"cannot write {path}: {error.strerror}; "
            f"{recipe.views} views of {len(digits):,} images need {needed / 1e6:,.1f} MB: "
            "make room, lower --views or choose another --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _fill(
    lessons: np.ndarray[tuple[int, int], np.dtype[np.void]],
    digits: Digits,
    teachers: Sequence[DigitNet],
    recipe: Recipe,
) -> None:
    """Make each view and write down what the teachers say of it."""
    device = next(teachers[0].parameters()).device
    augment = augmentation(defects=recipe.defects, warp=recipe.warp)
    with tqdm(total=lessons.size, desc="lessons", unit="image", unit_scale=True) as bar:
        for number, view in enumerate(lessons):
            torch.manual_seed(number)  # of the view alone, so that students of any seed can share them
            for start in range(0, len(digits), CHUNK):
                chunk = slice(start, start + CHUNK)
                pixels = digits.take(chunk).images.to(device).float() / 255
                images = (augment(pixels) * 255).round().to(torch.uint8)
                view["image"][chunk] = images.squeeze(1).cpu().numpy()
                view["taught"][chunk] = softened(images.float() / 255, teachers, recipe).numpy()
                bar.update(len(images))


def softened(images: Tensor, teachers: Sequence[DigitNet], recipe: Recipe) -> Tensor:
    """The mean over the teachers of their softened probabilities (N, 10), on the CPU."""
    logits = [predict(teacher, images, bfloat16=recipe.bfloat16) for teacher in teachers]
    return torch.stack([F.softmax(each / recipe.softness, dim=1) for each in logits]).mean(dim=0)
