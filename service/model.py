"""The weights file: load it, hold it to its own word, run batches through it.

A weights file is a TorchScript archive (``torch.jit.save``) from float32 images [N, 1, 28, 28] with
pixels in 0..1 to float32 logits [N, 10]. Two extra files travel inside it: ``model.json``, the model card,
and ``golden.npz``, real test images with the logits the trainer got for them.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from service.pixels import SIDE

logger = logging.getLogger(__name__)

CARD, GOLDEN = "model.json", "golden.npz"
CLASSES = 10
MAX_FILE_BYTES = 16 << 20

# Between CPUs, kernels differ in the order of their sums; the same weights agree far closer than this.
LOGIT_TOLERANCE = 1e-3
WARM_UP_CALLS = 4


class InvalidModel(Exception):
    """The weights file can't be served; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a weights file says of itself; ``details`` is the whole of its ``model.json``."""

    name: str
    version: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """Real test images, shape (K, 1, 28, 28), with the logits that the trainer got, shape (K, 10)."""

    images: torch.Tensor
    logits: NDArray[np.float32]

    def tiled(self, size: int) -> tuple[torch.Tensor, NDArray[np.float32]]:
        """Return a batch of ``size`` images, the cases over and over, with their logits."""
        places = np.arange(size) % len(self.logits)
        return self.images[places], self.logits[places]


class Prediction(NamedTuple):
    """One image's answer: the likeliest digit, its probability, and all ten, shape (10,)."""

    digit: int
    confidence: float
    probabilities: NDArray[np.float32]
    model: Card


class Model:
    """A loaded weights file: one copy of its module for every batch size that is run.

    TorchScript specialises a module to the shapes it meets, and oneDNN's fused kernels hold for one shape
    each: a module that meets one size only stays on its fastest path (``python -m benchmarks.model_path``).
    """

    def __init__(self, card: Card, golden: Golden, modules: dict[int, torch.jit.ScriptModule]) -> None:
        self.card = card
        self._golden = golden
        self._modules = modules
        self._forwards = {size: module.forward for size, module in modules.items()}

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, shape (N, 10), for images of shape (N, 784).

        N is one of the batch sizes that the model was loaded for; call it under ``torch.inference_mode()``.
        """
        logits: NDArray[np.float32] = self._forwards[len(images)](
            torch.from_numpy(images).view(-1, 1, SIDE, SIDE)
        ).numpy()
        return logits

    def warm_up(self) -> None:
        """Replay the golden cases at every batch size, in the thread that will serve.

        The profiling executor observes a module's first call and optimises in the next ones; none of that
        is left for a client to wait for, and every kernel that will serve has proved itself.

        Raises:
            InvalidModel: a logit is not the one that the trainer got.
        """
        for size, module in self._modules.items():
            images, logits = self._golden.tiled(size)
            for _ in range(WARM_UP_CALLS):
                _compare(module(images).numpy(), logits)


def load_model(path: Path, *, batch_sizes: Sequence[int] = (1,), sha256: str = "") -> Model:
    """Load a weights file for the batch sizes that will be run, and replay its golden cases once.

    Raises:
        InvalidModel: it is missing, too large, not the pinned file, no TorchScript archive, lacks its
            card or golden cases, takes or gives other shapes, or disagrees with its golden cases.
    """
    try:
        data = _read(path)
        if sha256:
            _check_digest(data, sha256)
        module, extra = _unpack(data)
        card = _read_card(extra[CARD])
        golden = _read_golden(extra[GOLDEN])
        _replay(module, golden)
        return Model(card, golden, {size: _unpack(data)[0] for size in batch_sizes})
    except InvalidModel as error:
        raise InvalidModel(f"{path} {error}") from None


def configure_torch(num_threads: int) -> None:
    """Set what holds for the whole process: threads per batch, and oneDNN's graph fusion where it exists."""
    torch.set_num_threads(num_threads)
    try:
        torch.jit.enable_onednn_fusion(True)
    except RuntimeError as error:  # a build of PyTorch without it serves unfused
        logger.info("oneDNN graph fusion is not available: %s", error)


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidModel(f"is {size} bytes; a weights file is at most {MAX_FILE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidModel(f"can't be read: {error.strerror}; set MODEL_PATH to a weights file") from None


def _check_digest(data: bytes, expected: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected.lower():
        raise InvalidModel(f"has SHA-256 {found}, but MODEL_SHA256 pins {expected}")


def _unpack(data: bytes) -> tuple[torch.jit.ScriptModule, dict[str, bytes]]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise InvalidModel("is no TorchScript archive, or it is cut short")
    extra: dict[str, Any] = {CARD: b"", GOLDEN: b""}
    try:
        with warnings.catch_warnings():
            # TorchScript is this project's file format by choice; PyTorch deprecates torch.jit.
            warnings.filterwarnings("ignore", message="`torch.jit")
            load: Any = torch.jit.load
            module: torch.jit.ScriptModule = load(io.BytesIO(data), map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        raise InvalidModel(f"is no TorchScript archive: {str(error).splitlines()[0]}") from None
    for name, content in extra.items():
        if not content:
            raise InvalidModel(f"carries no {name}; write it with `python -m training`")
    return module.eval(), extra


def _read_card(text: bytes) -> Card:
    try:
        details = json.loads(text)
        return Card(str(details["name"]), str(details["version"]), details)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidModel(f"has a {CARD} that is no model card: {error!r}") from None


def _read_golden(data: bytes) -> Golden:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as cases:
            images = torch.from_numpy(cases["images"]).float().div(255).view(-1, 1, SIDE, SIDE)
            logits = cases["logits"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise InvalidModel(f"has a {GOLDEN} that can't be read: {error}") from None
    if logits.shape != (len(images), CLASSES) or not len(images):
        raise InvalidModel(
            f"has {len(images)} golden images and logits {list(logits.shape)}; they must match"
        )
    return Golden(images, logits)


def _replay(module: torch.jit.ScriptModule, golden: Golden) -> None:
    try:
        with torch.inference_mode():
            logits = module(golden.images)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InvalidModel(f"does not take float32 [N, 1, {SIDE}, {SIDE}]: {reason}") from None
    if (
        not isinstance(logits, torch.Tensor)
        or logits.shape[1:] != (CLASSES,)
        or logits.dtype != torch.float32
    ):
        found = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits)
        raise InvalidModel(f"gives {found}; expected torch.float32 [N, {CLASSES}]")
    _compare(logits.numpy(), golden.logits)


def _compare(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    worst = float(np.abs(found - expected).max())
    if not worst <= LOGIT_TOLERANCE:  # written so that NaN fails, too
        raise InvalidModel(f"disagrees with its golden cases: a logit is off by {worst:.3g}")
