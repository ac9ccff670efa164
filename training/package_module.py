"""The module that is packaged: put behind its normalisation, frozen, and run as it will be served."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training import TrainingError
from training.export import quiet_torchscript

TOLERANCE = 1e-4


class Wrapped(torch.nn.Module):
    """A module behind the normalisation that it was trained with, its probabilities made logits again."""

    def __init__(
        self, module: torch.nn.Module, mean: Tensor, std: Tensor, *, gives_probabilities: bool
    ) -> None:
        super().__init__()
        self.module = module
        self.mean = mean
        self.std = std
        self.gives_probabilities = gives_probabilities

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits for pixels in 0..1."""
        logits: Tensor = self.module((images - self.mean) / self.std)
        # The softmax of their logarithms gives probabilities back.
        return torch.log(torch.clamp(logits, min=1e-30)) if self.gives_probabilities else logits


def prepare(
    module: torch.nn.Module,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    *,
    gives_probabilities: bool = False,
) -> torch.jit.ScriptModule:
    """Return a module, frozen, with the normalisation in front of it, if there is one, and logits behind it.

    Raises:
        TrainingError: it has parameters that are no float32, or can't be scripted.
    """
    tensors = (*module.parameters(), *module.buffers())
    types = {str(each.dtype) for each in tensors if each.is_floating_point()} - {"torch.float32"}
    if types:
        raise TrainingError(f"the module has {', '.join(sorted(types))}; call .float() before saving it")
    module.eval()
    means, stds = (
        torch.tensor(default if numbers is None else numbers, dtype=torch.float32).view(1, -1, 1, 1)
        for numbers, default in ((mean, [0.0]), (std, [1.0]))
    )
    if not torch.all(stds > 0):
        raise TrainingError("--std has a number that is not above 0; pixels are divided by it")
    with quiet_torchscript():
        if mean is not None or std is not None or gives_probabilities:
            module = Wrapped(module, means, stds, gives_probabilities=gives_probabilities).eval()
        try:
            scripted = torch.jit.script(module)
            frozen: torch.jit.ScriptModule = (
                torch.jit.freeze(scripted) if hasattr(scripted, "training") else scripted
            )
        except Exception as error:  # whatever TorchScript does not know
            raise TrainingError(
                f"the module can't be scripted: {str(error).strip().splitlines()[0]}"
            ) from None
    return frozen


def gives_probabilities(module: torch.nn.Module, shape: Sequence[int]) -> bool:
    """Return whether a softmax ends the module: what it gives for an image is in 0..1 and adds up to 1."""
    module.eval()
    with torch.inference_mode():
        try:
            given = module(_sample(shape))
        except Exception:  # ``check`` says what is wrong
            return False
    if not isinstance(given, Tensor) or given.dim() != 2 or not given.is_floating_point():
        return False
    sums = given.sum(dim=1)
    return bool((given >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=TOLERANCE))


def _sample(shape: Sequence[int]) -> Tensor:
    return torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))


def check(module: torch.jit.ScriptModule, shape: Sequence[int], classes: int) -> None:
    """Run a module as the service will.

    Raises:
        TrainingError: it takes or gives something else.
    """
    images = _sample(shape)
    with torch.inference_mode():
        one = _logits(module, images[:1], classes)
        try:
            many = _logits(module, images, classes)
        except TrainingError as error:
            raise TrainingError(f"the module takes one image, but no batch of three: {error}") from None
        if not torch.isfinite(many).all():
            raise TrainingError("the module gives logits that are no finite numbers for an image of noise")
        if not torch.allclose(many[:1], one, atol=TOLERANCE, rtol=TOLERANCE):
            raise TrainingError("an image's logits depend on its batch; save the module after .eval()")
        if not torch.allclose(_logits(module, images, classes), many, atol=TOLERANCE, rtol=TOLERANCE):
            raise TrainingError("an image has other logits each time; save the module after .eval()")


def _logits(module: torch.jit.ScriptModule, images: Tensor, classes: int) -> Tensor:
    try:
        logits = module(images)
    except Exception as error:  # whatever its author and PyTorch raise
        lines = (str(error).strip() or repr(error)).splitlines()
        # The module's own code comes first, if the fault is in it.
        line = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
        reason = line.removeprefix("RuntimeError: ")
        raise TrainingError(f"the module does not take float32 {list(images.shape)}: {reason}") from None
    if not isinstance(logits, Tensor):
        raise TrainingError(f"the module gives a {type(logits).__name__}; expected a tensor of logits")
    if logits.dtype != torch.float32:
        raise TrainingError(f"the module gives {logits.dtype}; expected torch.float32")
    if logits.shape != (len(images), classes):
        raise TrainingError(
            f"the module gives {list(logits.shape)} for {len(images)} images; expected a logit for each of "
            f"{classes} classes"
        )
    return logits
