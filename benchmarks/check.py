"""Hold a server's answers to the weights file called directly."""

from __future__ import annotations

import http.client
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray


def expected_digits(weights: Path, images: NDArray[np.uint8]) -> list[int]:
    """Classify uint8 images `[N, 28, 28]` with the TorchScript file, without any server.

    A process of its own does it and ends: had this one PyTorch loaded, its pages would be shared with the
    servers and make each of them look smaller.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_classify, weights, images).result()


def answered_digits(url: str, bodies: Sequence[bytes], content_type: str) -> list[int]:
    """Post every body to `url`, one after the other, and read the digit of each answer.

    Raises:
        RuntimeError: an answer is not 200.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    digits = []
    for body in bodies:
        connection.request("POST", address.path, body, {"Content-Type": content_type})
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{url} answered {response.status}: {content[:200]!r}")
        digits.append(int(json.loads(content)["digit"]))
    connection.close()
    return digits


def _classify(weights: Path, images: NDArray[np.uint8]) -> list[int]:
    import torch

    load: Any = torch.jit.load
    module = load(str(weights), map_location="cpu").eval()
    with torch.inference_mode():
        logits = module(torch.from_numpy(images.copy()).to(torch.float32).div(255).unsqueeze(1))
    return [int(digit) for digit in logits.argmax(dim=1)]
