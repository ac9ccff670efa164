"""The training loop: one-cycle schedule, label smoothing, averaged weights, and teachers if there are any."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from training import distributed
from training.augment import augmentation
from training.calibration import accuracy
from training.data import Digits
from training.model import DigitNet, forward, predict


@dataclass(frozen=True)
class Recipe:
    """Every number that decides what is learned; kept in the weights file."""

    epochs: int = 60
    batch_size: int = 128
    lr: float = 0.01
    weight_decay: float = 0.03
    label_smoothing: float = 0.0
    average: float = 0.999
    defects: float = 0.15
    warp: float = 0.7
    distillation: float = 0.9
    softness: float = 2.0
    bfloat16: bool = False
    seed: int = 1
    max_steps: int | None = None


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave; the accuracies are shares in 0..1."""

    epoch: int
    loss: float
    accuracy: float
    lr: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


class Trainer:
    """A model in training, the running average of its weights, and all that a later run needs to go on.

    Every epoch seeds the random generators from (seed, epoch, rank), so a resumed run continues exactly as an
    uninterrupted one. In a `torchrun` group each process takes its share of every batch, and DDP averages the
    gradients; the batch size counts the whole group.
    """

    def __init__(
        self,
        model: DigitNet,
        digits: Digits,
        recipe: Recipe,
        *,
        device: torch.device,
        teachers: Sequence[nn.Module] = (),
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.images = digits.images.to(device)
        self.labels = digits.labels.to(device)
        self.teachers = list(teachers)
        self.rank = distributed.rank()
        self.processes = distributed.size()
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.parallel: nn.Module = DistributedDataParallel(self.model) if self.processes > 1 else self.model
        self.averaged = AveragedModel(
            self.model,
            multi_avg_fn=running_average(recipe.average),
            use_buffers=True,
        )
        self.steps_per_epoch = max(1, len(digits) // recipe.batch_size)
        if recipe.max_steps is not None:
            self.steps_per_epoch = min(self.steps_per_epoch, recipe.max_steps)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        # A cycle of five steps would rise in none of them, and divide by zero.
        steps = max(6, recipe.epochs * self.steps_per_epoch + 1)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.lr, total_steps=steps, pct_start=0.2
        )
        self.augment = augmentation(defects=recipe.defects, warp=recipe.warp)
        self.history: list[Epoch] = []

    def run(
        self,
        validation: Digits | None = None,
        *,
        after_epoch: Callable[[Trainer], None] | None = None,
        title: str = "epoch",
    ) -> DigitNet:
        """Train the epochs that are left and return the averaged model; `after_epoch` may save the state."""
        while len(self.history) < self.recipe.epochs:
            number = len(self.history) + 1
            bar: tqdm[Any] = tqdm(
                total=self.steps_per_epoch,
                desc=f"{title} {number}/{self.recipe.epochs}",
                unit="batch",
                disable=self.rank > 0,
            )
            with bar:
                self.history.append(self._epoch(number, bar, validation))
            if after_epoch is not None:
                after_epoch(self)
        return self.result()

    def result(self) -> DigitNet:
        """The averaged model, in evaluation mode, as a copy of its own."""
        model = copy.deepcopy(self.averaged.module)
        assert isinstance(model, DigitNet)
        return model.eval()

    def state(self) -> dict[str, object]:
        """All that `restore` needs, in types that `torch.load(weights_only=True)` reads."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [vars(epoch) for epoch in self.history],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])  # type: ignore[arg-type]
        self.averaged.load_state_dict(state["averaged"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.schedule.load_state_dict(state["schedule"])  # type: ignore[arg-type]
        self.history = [Epoch(**epoch) for epoch in state["history"]]  # type: ignore[attr-defined]

    def _epoch(self, number: int, bar: tqdm[Any], validation: Digits | None) -> Epoch:
        recipe = self.recipe
        seed = recipe.seed * 100_003 + number
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        torch.manual_seed(seed * 1_009 + self.rank)
        self.parallel.train()
        loss_sum = torch.zeros((), device=self.device)
        right = torch.zeros((), device=self.device)
        seen = 0
        for step in range(self.steps_per_epoch):
            whole = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            batch = whole[self.rank :: self.processes].to(self.device)
            loss, logits = self._step(batch)
            loss_sum += loss * len(batch)
            right += (logits.argmax(dim=1) == self.labels[batch]).sum()
            seen += len(batch)
            bar.update()
            if step % 10 == 9 or step + 1 == self.steps_per_epoch:
                bar.set_postfix(loss=f"{float(loss_sum) / seen:.4f}", accuracy=f"{float(right) / seen:.2%}")
        epoch = Epoch(
            number, float(loss_sum) / seen, float(right) / seen, float(self.schedule.get_last_lr()[0])
        )
        if validation is not None and len(validation):
            logits = predict(self.result(), validation.pixels())
            epoch = dataclasses.replace(
                epoch,
                validation_loss=float(F.cross_entropy(logits, validation.labels)),
                validation_accuracy=accuracy(logits, validation.labels),
            )
            bar.set_postfix(
                loss=f"{epoch.loss:.4f}",
                accuracy=f"{epoch.accuracy:.2%}",
                validation=f"{epoch.validation_accuracy:.2%}",
            )
        return epoch

    def _step(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        images = self.augment(self.images[batch].float() / 255)
        labels = self.labels[batch]
        logits = forward(self.parallel, images, bfloat16=self.recipe.bfloat16)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if self.teachers:
            taught = distillation_loss(logits, images, self.teachers, self.recipe.softness)
            loss = torch.lerp(loss, taught, self.recipe.distillation)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self.averaged.update_parameters(self.model)
        return loss.detach(), logits.detach()


def running_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average that forgets faster in its first steps, so that short runs profit too."""

    def update(averaged: Any, current: Any, count: Any) -> None:
        steps = int(count)
        warmed = min(decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(warmed)(averaged, current, count)  # type: ignore[no-untyped-call]

    return update


def distillation_loss(
    logits: Tensor, images: Tensor, teachers: Sequence[nn.Module], softness: float
) -> Tensor:
    """How far softened predictions are from the teachers' mean on the same images (Hinton et al., 2015)."""
    with torch.no_grad():
        each = [F.softmax(teacher(images) / softness, dim=1) for teacher in teachers]
        taught = torch.stack(each).mean(dim=0)
    learned = F.log_softmax(logits / softness, dim=1)
    return F.kl_div(learned, taught, reduction="batchmean") * softness**2
