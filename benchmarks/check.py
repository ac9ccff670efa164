"""Hold a server's answers to the weights file called directly."""

from __future__ import annotations

import http.client
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import Bodies, Label


def expected_digits(weights: Path, images: NDArray[np.uint8]) -> list[int]:
    """Classify uint8 images `[N, 28, 28]` with the TorchScript file, without any server.

    A process of its own does it and ends: had this one PyTorch loaded, its pages would be shared with the
    servers and make each of them look smaller.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_classify, weights, images).result()


def answered_labels(url: str, bodies: Bodies) -> list[Label]:
    """Post every body to `url`, one after the other, and read the label of each answer.

    Raises:
        RuntimeError: an answer is not 200.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    labels = []
    for body in bodies.contents:
        connection.request("POST", address.path, body, {"Content-Type": bodies.content_type})
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{url} answered {response.status}: {content[:200]!r}")
        labels.append(read_label(json.loads(content)))
    connection.close()
    return labels


def read_label(answer: Any) -> Label:
    """Find the label in what a contender answers for one input.

    It is a field of its own, or the likeliest of `{label: probability}`; BentoML gives a list of one answer.
    """
    if isinstance(answer, list):
        (answer,) = answer
    label: Label = answer.get("digit", answer.get("label"))
    return max(answer, key=answer.get) if label is None else label


def _classify(weights: Path, images: NDArray[np.uint8]) -> list[int]:
    import torch

    load: Any = torch.jit.load
    module = load(str(weights), map_location="cpu").eval()
    with torch.inference_mode():
        logits = module(torch.from_numpy(images.copy()).to(torch.float32).div(255).unsqueeze(1))
    return [int(digit) for digit in logits.argmax(dim=1)]
