"""Who is trained on what, in which order: first teachers, if any, then, on their lessons, students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from training import checkpoint, distributed, lessons
from training.batches import Augmented, Batches
from training.data import Digits
from training.model import STUDENT, TEACHER, DigitNet, Layer
from training.recipe import Recipe
from training.train import Epoch, Trainer


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
        path = self.folder / lessons.file_name(self.learning, teachers, recipe)
        with distributed.leader_first():
            if distributed.rank() == 0 and not (self.resume and path.exists()):
                lessons.write_lessons(path, self.learning, teachers, recipe)
        return lessons.Lessons(path, self.learning.labels, device=self.device)

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
