"""ResNet-18 behind mosec: a front in Rust, which parses HTTP and batches, and a worker in Python."""

from __future__ import annotations

import os

import mosec
import torch

from benchmarks.contenders.mosec_reads import read_whole_numbers
from benchmarks.contenders.photo_classifier import MAX_BATCH_SIZE, PhotoClassifier

read_whole_numbers()


class Photos(mosec.Worker):
    """The bytes of a file to a tensor, the model, and `mosec.Worker`'s own JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = PhotoClassifier()

    def deserialize(self, data: bytes) -> torch.Tensor:
        """Read one request."""
        return self.classifier.read(data)

    def forward(self, data: list[torch.Tensor]) -> list[dict[str, float]]:
        """Classify the photos of a batch of requests."""
        return self.classifier.classify(torch.stack(data))


if __name__ == "__main__":
    os.environ |= {"MOSEC_ADDRESS": os.environ["HOST"], "MOSEC_PORT": os.environ["PORT"]}
    server = mosec.Server()
    server.append_worker(Photos, max_batch_size=MAX_BATCH_SIZE, max_wait_time=1)
    server.run()
