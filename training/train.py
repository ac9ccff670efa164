"""The training loop: one-cycle schedule, moving average of the weights, loss on labels and soft labels."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training import distributed
from training.calibration import accuracy
from training.data import Batch, Batches, Digits
from training.model import DigitNet, forward, predict, with_no_digit
from training.progress import Progress
from training.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave; the accuracies are in 0..1."""

    epoch: int
    loss: float
    accuracy: float
    lr: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


class Trainer:
    """A model in training, the moving average (EMA) of its weights, and all that a later run needs to go on.

    Every epoch seeds the random generators from (seed, epoch, rank), so a resumed run continues exactly as an
    uninterrupted one. In a `torchrun` group each process takes its share of every batch, and DDP averages the
    gradients; the batch size counts the whole group.
    """

    def __init__(self, model: DigitNet, batches: Batches, recipe: Recipe, *, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.batches = batches
        self.rank = distributed.rank()
        self.processes = distributed.world_size()
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.parallel: nn.Module = DistributedDataParallel(self.model) if self.processes > 1 else self.model
        self.ema_model = AveragedModel(
            self.model,
            multi_avg_fn=ema_update(recipe.ema_decay),
            use_buffers=True,
        )
        self.steps_per_epoch = max(1, batches.image_count // recipe.batch_size)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        # A cycle of five steps would rise in none of them, and divide by zero.
        steps = max(6, recipe.epochs * self.steps_per_epoch + 1)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.lr, total_steps=steps, pct_start=0.2
        )
        self.history: list[Epoch] = []

    def run(
        self,
        validation: Digits | None = None,
        *,
        after_epoch: Callable[[Trainer], None] | None = None,
        title: str = "epoch",
    ) -> DigitNet:
        """Train the epochs that are left and return the EMA model; `after_epoch` may save the state."""
        while len(self.history) < self.recipe.epochs:
            number = len(self.history) + 1
            name = f"{title} {number}/{self.recipe.epochs}"
            # The log's line of an epoch comes when the epoch is saved.
            with Progress(name, self.steps_per_epoch, "batches", shown=self.rank == 0) as shows:
                self.history.append(self._epoch(number, shows, validation))
                if after_epoch is not None:
                    after_epoch(self)
        return self.result()

    def result(self) -> DigitNet:
        """The EMA model, in evaluation mode, as a copy of its own, the same in every process of a group.

        Batch norm measured other images in each process; what counts is what the first one saw.
        """
        model = copy.deepcopy(self.ema_model.module)
        assert isinstance(model, DigitNet)
        if self.processes > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, src=0)
        return model.eval()

    def state(self) -> dict[str, object]:
        """All that `restore` needs, in types that `torch.load(weights_only=True)` reads."""
        return {
            "model": self.model.state_dict(),
            "ema_model": self.ema_model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [vars(epoch) for epoch in self.history],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])  # type: ignore[arg-type]
        self.ema_model.load_state_dict(state["ema_model"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.schedule.load_state_dict(state["schedule"])  # type: ignore[arg-type]
        self.history = [Epoch(**epoch) for epoch in state["history"]]  # type: ignore[attr-defined]

    def _epoch(self, number: int, shows: Progress, validation: Digits | None) -> Epoch:
        recipe = self.recipe
        seed = recipe.seed * 100_003 + number
        order = torch.randperm(self.batches.image_count, generator=torch.Generator().manual_seed(seed))
        batch_indices = torch.split(order[: self.steps_per_epoch * recipe.batch_size], recipe.batch_size)
        torch.manual_seed(seed * 1_009 + self.rank)
        self.parallel.train()
        loss_sum = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device)
        seen = 0
        own_indices = [indices[self.rank :: self.processes] for indices in batch_indices]
        for step, batch in enumerate(self.batches.epoch(number, own_indices)):
            loss, logits = self._step(batch)
            loss_sum += loss * len(batch.labels)
            correct += (logits.argmax(dim=1) == batch.labels).sum()
            seen += len(batch.labels)
            shows.update()
            if step % 10 == 9 or step + 1 == self.steps_per_epoch:
                shows.show(loss=f"{float(loss_sum) / seen:.4f}", accuracy=f"{float(correct) / seen:.2%}")
        epoch = Epoch(
            number, float(loss_sum) / seen, float(correct) / seen, float(self.schedule.get_last_lr()[0])
        )
        if validation is not None and len(validation):
            logits = predict(self.result(), validation.pixels())
            epoch = dataclasses.replace(
                epoch,
                validation_loss=float(F.cross_entropy(logits, validation.labels)),
                validation_accuracy=accuracy(logits, validation.labels),
            )
            shows.show(
                loss=f"{epoch.loss:.4f}",
                accuracy=f"{epoch.accuracy:.2%}",
                validation=f"{epoch.validation_accuracy:.2%}",
            )
        return epoch

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        recipe = self.recipe
        logits = with_no_digit(forward(self.parallel, batch.images, bfloat16=recipe.bfloat16))
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=recipe.label_smoothing)
        if batch.soft_labels is not None:
            distilled = distillation_loss(logits, batch.soft_labels, recipe.distillation_temperature)
            loss = torch.lerp(loss, distilled, recipe.distillation_weight)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self.ema_model.update_parameters(self.model)
        return loss.detach(), logits.detach()


def ema_update(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average that forgets faster in its first steps, so that short runs profit too."""

    def update(averaged: Any, current: Any, count: Any) -> None:
        steps = int(count)
        warmed = min(decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(warmed)(averaged, current, count)  # type: ignore[no-untyped-call]

    return update


def distillation_loss(logits: Tensor, soft_labels: Tensor, temperature: float) -> Tensor:
    """The KL divergence from predictions at this temperature to the teachers' soft labels (N, 11).

    It is multiplied by the squared temperature, so that its gradients stay as large as those of the labels.
    """
    log_probabilities = F.log_softmax(logits / temperature, dim=1)
    return F.kl_div(log_probabilities, soft_labels, reduction="batchmean") * temperature**2
