"""The same model behind LitServe with its dynamic batching, as its documentation shows it.

Its batch may hold every connection of the benchmark, and waits 10 ms at most to fill: a tenth of the
documentation's 0.1 s, which would only add to the latency at few connections.
"""

from __future__ import annotations

import os
from typing import Any

import litserve
import torch


class DigitAPI(litserve.LitAPI):  # type: ignore[misc]
    """Decode, predict in batches, encode."""

    def setup(self, device: str) -> None:
        """Load the model in the worker process."""
        load: Any = torch.jit.load
        self.model = load(os.environ["MODEL_PATH"], map_location=device)
        self.model.eval()

    def decode_request(self, request) -> torch.Tensor:  # type: ignore[no-untyped-def]
        """Turn a request into one image; without a type LitServe passes what the JSON holds."""
        return torch.tensor(request["image"], dtype=torch.float32).reshape(1, 28, 28)

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        """Turn images, stacked by LitServe, into probabilities."""
        with torch.inference_mode():
            return torch.softmax(self.model(batch), dim=1)

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        """Turn one row of probabilities into an answer."""
        digit = int(output.argmax())
        return {"digit": digit, "confidence": float(output[digit]), "probabilities": output.tolist()}


def serve(api: litserve.LitAPI) -> None:
    """Serve an API on the CPU, in one process beside its worker's, quietly."""
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(
        host=os.environ["HOST"],
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    serve(DigitAPI(max_batch_size=64, batch_timeout=0.01))
