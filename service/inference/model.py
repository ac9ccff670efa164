"""The model: TorchScript out of a weights file, held to its golden cases, run in batches.

The module inside takes float32 images [N, channels, height, width] with pixels in 0..1, and gives float32
logits, one for each class.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import InvalidModel
from service.inference.card import Card
from service.inference.golden import compare
from service.inference.measuring import (
    choose_batch_limit,
    choose_threads,
    larger_may_pay,
    shortest_seconds,
)
from service.inference.torchscript import (
    Kernels,
    compiling,
    is_straight,
    load_module,
    reason_of,
    suitable_kernels,
)
from service.inference.weights import MAX_FILE_BYTES, Weights, find_file, read_weights
from service.inputs.image import Shape

logger = logging.getLogger(__name__)

WARM_UP_CALLS = 4


class Model:
    """A loaded weights file, proven at every batch size that is run."""

    def __init__(
        self,
        weights: Weights,
        module: torch.jit.ScriptModule,
        batch_seconds: Mapping[int, float],
        kernels: Kernels,
        inline_seconds: float = 0.0,
    ) -> None:
        """Take a proven module, and how long a batch of each size takes that will be run."""
        self.card = weights.card
        self.sha256 = weights.sha256
        self.golden = weights.golden
        self.batch_seconds = batch_seconds
        self.kernels = kernels
        self.num_threads = torch.get_num_threads()
        inline_sizes = [size for size, seconds in batch_seconds.items() if seconds <= inline_seconds]
        self.inline_size = max(inline_sizes, default=0) if is_straight(module) else 0
        self._module = module
        self._forward = module.forward

    @property
    def batch_sizes(self) -> Sequence[int]:
        """The batch sizes that it has been proven for, the smallest first."""
        return tuple(self.batch_seconds)

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, shape (N, C), for images of shape (N, size).

        N is one of the batch sizes that the model was loaded for; call it under ``torch.inference_mode()``.
        """
        logits: NDArray[np.float32] = self._forward(images_as_tensor(images, self.card.shape)).numpy()
        return logits

    def warm_up(self, sizes: Sequence[int]) -> Iterator[None]:
        """Replay golden cases in a thread that will serve, one batch a step.

        Loading has compiled all there is to compile; what is left is what a thread keeps for itself, the
        number of threads that it computes with among it.

        Raises:
            InvalidModel: a logit is not the one that the trainer got.
        """
        torch.set_num_threads(self.num_threads)
        for size in sizes:
            images, logits = next(self.golden.batches(size))
            for _ in range(WARM_UP_CALLS):
                compare(_run(self._module, images, self.card), logits)
                yield


def load_model(
    path: Path,
    *,
    batch_sizes: Sequence[int] = (1,),
    longest_batch_seconds: float | None = None,
    max_threads: int = 0,
    inline_seconds: float = 0.0,
    sha256: str = "",
    min_accuracy: float | None = None,
    max_bytes: int = MAX_FILE_BYTES,
) -> Model:
    """Load a weights file for the batch sizes that will be run, replaying its golden cases at each.

    With ``longest_batch_seconds`` only those sizes are kept that measurement finds worth it, see
    ``service.inference.measuring``, and with ``max_threads`` it chooses how many threads compute a batch.
    Batches that take no longer than ``inline_seconds`` may run in the event loop.
    ``sha256`` and ``min_accuracy`` are what ``read_weights`` asks of the file.

    Raises:
        InvalidModel: it is not fit to serve; the message names the file and says why.
    """
    path = find_file(path)
    weights = read_weights(path, sha256=sha256, min_accuracy=min_accuracy, max_bytes=max_bytes)
    try:
        with torch.inference_mode():
            # First as PyTorch itself computes: if that is wrong, the file is, and not our kernels.
            plain = load_module(weights.data, Kernels.PLAIN, weights.card.shape.planes)
            _prove(plain, weights, 1)
            if max_threads:
                choose_threads(partial(_prove_batch, plain, weights, 1), max_threads)
            del plain
            for kernels in suitable_kernels(weights.data):
                try:
                    with compiling(kernels):
                        module, seconds = _compile(weights, kernels, batch_sizes, longest_batch_seconds)
                    break
                except InvalidModel as error:
                    if kernels is Kernels.PLAIN:
                        raise
                    logger.warning("%s, with %s, %s; trying without", path, kernels.value, error)
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None
    return Model(weights, module, seconds, kernels, inline_seconds)


def _compile(
    weights: Weights, kernels: Kernels, batch_sizes: Sequence[int], longest_batch_seconds: float | None
) -> tuple[torch.jit.ScriptModule, dict[int, float]]:
    """Return the module, proven at the batch sizes that will be run, and the seconds that each takes."""
    module = load_module(weights.data, kernels, weights.card.shape.planes)
    seconds: dict[int, float] = {}
    for size in batch_sizes:
        seconds[size] = _prove(module, weights, size)
        if longest_batch_seconds is not None and not larger_may_pay(seconds, longest_batch_seconds):
            break
    if longest_batch_seconds is not None:
        limit = choose_batch_limit(seconds, longest_batch_seconds)
        seconds = {size: taken for size, taken in seconds.items() if size <= limit}
    return module, seconds


def _prove(module: torch.jit.ScriptModule, weights: Weights, size: int) -> float:
    """Have the module give all golden logits in batches of this size, and return the seconds that one takes.

    The profiling executor observes the first call of a shape and compiles in the next ones: nothing of that
    is left to a client, and the kernels that will serve have been through all cases.
    """
    first = partial(_prove_batch, module, weights, size)
    for _ in range(WARM_UP_CALLS):
        first()
    for images, logits in weights.golden.batches(size):
        compare(_run(module, images, weights.card), logits)
    return shortest_seconds(first)


def _prove_batch(module: torch.jit.ScriptModule, weights: Weights, size: int) -> None:
    """Have the module give the golden logits of the first cases."""
    images, logits = next(weights.golden.batches(size))
    compare(_run(module, images, weights.card), logits)


def _run(module: torch.jit.ScriptModule, images: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    """Return the logits of images, shape (N, size), having checked that they are of the right form."""
    tensor = images_as_tensor(images, card.shape)
    classes = len(card.classes)
    try:
        logits = module(tensor)
    except Exception as error:  # torch.jit.Error is one; a module can raise whatever its author chose
        raise InvalidModel(f"does not take float32 {list(tensor.shape)}: {reason_of(error)}") from None
    if not isinstance(logits, torch.Tensor):
        raise InvalidModel(f"gives a {type(logits).__name__}; expected a tensor, float32 [N, {classes}]")
    if logits.shape != (len(images), classes) or logits.dtype != torch.float32:
        found = f"{str(logits.dtype).removeprefix('torch.')} {list(logits.shape)}"
        raise InvalidModel(f"gives {found}; expected float32 [{len(images)}, {classes}]")
    result: NDArray[np.float32] = logits.numpy()
    return result


def images_as_tensor(images: NDArray[np.float32], shape: Shape) -> torch.Tensor:
    """Return images, shape (N, size), as a module takes them, without a copy: channels last in memory."""
    tensor = torch.from_numpy(images)
    if shape.channels == 1:
        return tensor.view(-1, 1, shape.height, shape.width)
    return tensor.view(-1, shape.height, shape.width, shape.channels).permute(0, 3, 1, 2)
