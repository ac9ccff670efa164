"""The hyperparameters: every number that decides what is learned."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

# The first teacher has this seed, the next ones count on. It does not depend on the students' seeds, so that
# runs with other seeds can share one ensemble and its soft labels.
FIRST_TEACHER_SEED = 1001


@dataclass(frozen=True)
class Recipe:
    """How one network is trained; kept in the weights file and compared by `--resume`.

    Without teachers, `teacher_epochs` and `views` are 0, and `distillation_weight` and
    `distillation_temperature` decide nothing.
    """

    epochs: int = 60
    batch_size: int = 128
    lr: float = 0.01
    weight_decay: float = 0.03
    label_smoothing: float = 0.0
    ema_decay: float = 0.999
    defects: float = 0.15
    warp: float = 0.8
    low_resolution: float = 0.2
    drawn: float = 0.5
    negatives: float = 0.5
    teachers: int = 0
    teacher_epochs: int = 0
    views: int = 0
    distillation_weight: float = 0.9
    distillation_temperature: float = 2.0
    bfloat16: bool = False
    seed: int = 1

    def teacher(self, number: int) -> Recipe:
        """The recipe of a teacher, counted from 1: the same, but it learns from labels alone."""
        return dataclasses.replace(
            self,
            epochs=self.teacher_epochs,
            seed=FIRST_TEACHER_SEED + number - 1,
            teachers=0,
            teacher_epochs=0,
            views=0,
            distillation_weight=0.0,
            distillation_temperature=1.0,
        )

    def student(self, number: int) -> Recipe:
        """The recipe of a student, counted from 1, which has the seed that was asked for."""
        return dataclasses.replace(self, seed=self.seed + number - 1)
