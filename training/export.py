"""Write and check the weights file: a frozen TorchScript module with its card and golden cases inside."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training import TrainingError
from training.data import Digits
from training.files import as_json, write_bytes
from training.model import CLASSES, DigitNet, predict

FILE_NAME = "mnist_cnn.pt"
MAX_BYTES = 1024 * 1024
GOLDEN_PER_DIGIT = 2


def frozen(model: DigitNet) -> torch.jit.ScriptModule:
    """The model as TorchScript on the CPU, its batch norms folded into the convolutions before them.

    The weights' channels-last layout stays in the file, so that oneDNN does not reorder them at each call.
    """
    eager = copy.deepcopy(model).cpu().eval()
    eager.to(memory_format=torch.channels_last)
    with quiet_torchscript():
        module: torch.jit.ScriptModule = torch.jit.freeze(torch.jit.script(eager))
    if "batch_norm" in str(module.graph):
        raise TrainingError("TorchScript did not fold the batch norms; is this the pinned version of torch?")
    return module


def check_agreement(model: DigitNet, module: torch.jit.ScriptModule, images: Tensor) -> float:
    """The largest difference between the two on (N, 1, 28, 28) pixels; raises TrainingError past 1e-4."""
    eager = copy.deepcopy(model).cpu()
    with torch.inference_mode():
        for part in (images, images[:1]):
            difference = float((predict(eager, part) - module(part)).abs().max())
            if not difference <= 1e-4:
                raise TrainingError(
                    f"a logit of the exported module is {difference:.2e} from the trained one's"
                )
    return difference


def golden_cases(module: torch.jit.ScriptModule, test: Digits) -> bytes:
    """An .npz of test images with the logits that the module gives for them on one thread.

    The first two of each digit that it reads right, in the order of the digits: `images` uint8 (K, 28, 28),
    `labels` uint8 (K,) and `logits` float32 (K, 10).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        correct = (
            torch.cat([module(part).argmax(dim=1) for part in torch.split(test.pixels(), 500)]) == test.labels
        )
        chosen = []
        for digit in range(len(CLASSES)):
            chosen += (correct & (test.labels == digit)).nonzero().flatten()[:GOLDEN_PER_DIGIT].tolist()
        cases = test.take(torch.tensor(chosen, dtype=torch.int64))
        logits = module(cases.pixels()) if len(cases) else torch.zeros(0, len(CLASSES))
    torch.set_num_threads(threads)
    arrays = {
        "images": cases.images.squeeze(1).numpy(),
        "labels": cases.labels.numpy().astype(np.uint8),
        "logits": logits.numpy(),
    }
    return to_npz(arrays)


def to_npz(arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Like np.savez_compressed, but with a fixed time inside: equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())
    return buffer.getvalue()


def write_weights(module: torch.jit.ScriptModule, card: dict[str, Any], golden: bytes, path: Path) -> None:
    """Write the file in one step: either the whole new file is there afterwards, or what was there before."""
    content = to_archive(module, card, golden)
    if len(content) > MAX_BYTES:
        raise TrainingError(f"the weights file has {len(content):,} bytes, over the limit of {MAX_BYTES:,}")
    _check_replay(content)
    write_bytes(path, content)


def to_archive(module: torch.jit.ScriptModule, card: dict[str, Any], golden: bytes) -> bytes:
    """The weights file's bytes, the same for the same module, card and golden cases."""
    buffer = io.BytesIO()
    extra = {"model.json": as_json(card), "golden.npz": golden}
    with quiet_torchscript():
        torch.jit.save(module, buffer, _extra_files=extra)
    return _without_debug_records(buffer.getvalue())


def _without_debug_records(archive: bytes) -> bytes:
    """Drop the copies of source code and of this machine's paths that TorchScript adds for its tracebacks."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(buffer, "w") as target:
        for record in source.infolist():
            if not record.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(record.filename, (1980, 1, 1, 0, 0, 0)), source.read(record))
    return buffer.getvalue()


def _check_replay(content: bytes) -> None:
    """Load the file as a service would, and compare its golden cases; raises TrainingError if they differ."""
    extra = {"golden.npz": b""}
    with quiet_torchscript():
        module = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(content), map_location="cpu", _extra_files=extra
        )
    with np.load(io.BytesIO(extra["golden.npz"]), allow_pickle=False) as golden, torch.inference_mode():
        images = torch.from_numpy(golden["images"]).unsqueeze(1).float() / 255
        if len(images) and not torch.allclose(module(images), torch.from_numpy(golden["logits"]), atol=1e-4):
            raise TrainingError(
                "the weights file does not give the logits that it carries; nothing was written"
            )


@contextlib.contextmanager
def quiet_torchscript() -> Iterator[None]:
    """Keep back the warnings that TorchScript is deprecated: it is our file format by choice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`?torch\.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r"`?torch\.jit", category=DeprecationWarning)
        yield
