"""The model: TorchScript out of a weights file, held to its golden cases, run in batches.

The module inside takes float32 images [N, channels, height, width] with pixels in 0..1, and gives float32
logits, one for each class.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import InvalidModel
from service.inference.card import Card
from service.inference.golden import compare
from service.inference.weights import MAX_FILE_BYTES, Weights, read_weights
from service.inputs.image import Shape

logger = logging.getLogger(__name__)

WARM_UP_CALLS = 4


class Model:
    """A loaded weights file, proven at every batch size that is run."""

    def __init__(self, weights: Weights, module: torch.jit.ScriptModule, batch_sizes: Sequence[int]) -> None:
        self.card = weights.card
        self.sha256 = weights.sha256
        self.golden = weights.golden
        self._module = module
        self._forward = module.forward
        self._batch_sizes = batch_sizes

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, shape (N, C), for images of shape (N, size).

        N is one of the batch sizes that the model was loaded for; call it under ``torch.inference_mode()``.
        """
        logits: NDArray[np.float32] = self._forward(images_as_tensor(images, self.card.shape)).numpy()
        return logits

    def warm_up(self) -> Iterator[None]:
        """Replay golden cases in the thread that will serve, one batch a step, the smallest size first.

        Loading has compiled all there is to compile; what is left is what a thread keeps for itself. Each
        step takes a few milliseconds at most, so that requests may be served in between.

        Raises:
            InvalidModel: a logit is not the one that the trainer got.
        """
        for size in self._batch_sizes:
            images, logits = next(self.golden.batches(size))
            for _ in range(WARM_UP_CALLS):
                compare(_run(self._module, images, self.card), logits)
                yield


def load_model(
    path: Path,
    *,
    batch_sizes: Sequence[int] = (1,),
    sha256: str = "",
    max_bytes: int = MAX_FILE_BYTES,
) -> Model:
    """Load a weights file for the batch sizes that will be run, replaying its golden cases at each.

    ``sha256`` is the digest that the file must have, in hexadecimal, or empty.

    Raises:
        InvalidModel: it is not fit to serve; the message names the file and says why.
    """
    weights = read_weights(path, sha256=sha256, max_bytes=max_bytes)
    try:
        module = _load_module(weights.data)
        _prove(module, weights, batch_sizes)
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None
    return Model(weights, module, batch_sizes)


def configure_torch(num_threads: int) -> None:
    """Set what holds for the whole process: threads per batch, and oneDNN's graph fusion where it exists."""
    torch.set_num_threads(num_threads)
    # oneDNN would keep the kernels of the last 1024 fused graphs: those of models that serve no more. Each
    # module holds its own kernels anyway. It reads the variable when it compiles its first graph.
    os.environ.setdefault("DNNL_GRAPH_COMPILED_PARTITION_CACHE_CAPACITY", "0")
    try:
        torch.jit.enable_onednn_fusion(True)
    except RuntimeError as error:  # a build of PyTorch without it serves unfused
        logger.info("oneDNN graph fusion is not available: %s", error)


def _prove(module: torch.jit.ScriptModule, weights: Weights, batch_sizes: Sequence[int]) -> None:
    """Have the module give the golden logits in batches of each size.

    The profiling executor observes the first calls of each shape and compiles in the next ones: the rounds
    leave none of that to a client, and the kernels that will serve have been through all cases.
    """
    with torch.inference_mode():
        for size in batch_sizes:
            for _ in range(WARM_UP_CALLS):
                for images, logits in weights.golden.batches(size):
                    compare(_run(module, images, weights.card), logits)


def _load_module(data: bytes) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # TorchScript is this project's file format by choice; PyTorch deprecates torch.jit.
            warnings.filterwarnings("ignore", message="`torch.jit")
            load: Any = torch.jit.load
            module: torch.jit.ScriptModule = load(io.BytesIO(data), map_location="cpu")
    except Exception as error:  # whatever PyTorch makes of what may be anything
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InvalidModel(f"holds no TorchScript that can be loaded: {reason}") from None
    return module.eval()


def _run(module: torch.jit.ScriptModule, images: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    """Return the logits of images, shape (N, size), having checked that they are of the right form."""
    tensor = images_as_tensor(images, card.shape)
    classes = len(card.classes)
    try:
        logits = module(tensor)
    except Exception as error:  # torch.jit.Error is one; a module can raise whatever its author chose
        reason = (str(error).strip() or repr(error)).splitlines()[-1].removeprefix("RuntimeError: ")
        raise InvalidModel(f"does not take float32 {list(tensor.shape)}: {reason}") from None
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
