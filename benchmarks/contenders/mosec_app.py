"""The digits' model behind mosec: a front in Rust, which parses HTTP and batches, and a worker in Python.

The batch is LitServe's; 1 ms is the shortest wait that mosec takes.
"""

from __future__ import annotations

import os
from typing import Any

import mosec
import torch

from benchmarks.contenders.mosec_reads import read_whole_numbers

read_whole_numbers()


class Digits(mosec.Worker):
    """JSON to tensor, the model, and JSON again: what is not here is `mosec.Worker`'s own."""

    def __init__(self) -> None:
        super().__init__()
        load: Any = torch.jit.load
        self.model = load(os.environ["MODEL_PATH"], map_location="cpu")
        self.model.eval()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Classify the images of a batch of requests."""
        images = torch.tensor([each["image"] for each in data], dtype=torch.float32).reshape(-1, 1, 28, 28)
        with torch.inference_mode():
            probabilities = torch.softmax(self.model(images), dim=1)
        return [
            {"digit": row.index(max(row)), "confidence": max(row), "probabilities": row}
            for row in probabilities.tolist()
        ]


if __name__ == "__main__":
    os.environ |= {"MOSEC_ADDRESS": os.environ["HOST"], "MOSEC_PORT": os.environ["PORT"]}
    server = mosec.Server()
    server.append_worker(Digits, max_batch_size=64, max_wait_time=1)
    server.run()
