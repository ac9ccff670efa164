"""Asks a running service for the golden cases of a weights file and checks every answer.

    python -m service.smoke http://localhost:3000

It reads the cases without PyTorch, so it starts in a moment: this is what `helm test` runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.api.auth import read_keys
from service.errors import InvalidModel
from service.inference.weights import read_weights
from service.settings import BUNDLED_MODEL


def predict(url: str, image: NDArray[np.float32], *, api_key: str = "", timeout_seconds: float = 10) -> int:
    """Return the digit that the service at this address sees in one image, shape (784,).

    Raises:
        OSError: it can't be reached, or refuses; the message holds its status and answer.
    """
    body = json.dumps({"image": image.tolist()}).encode()
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    request = urllib.request.Request(f"{url.rstrip('/')}/predict", body, headers)  # noqa: S310 - see main
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310 # nosec B310
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode(errors="replace")
        raise OSError(f"POST {request.full_url} gave {error.code}: {detail}") from None
    digit: int = answer["digit"]
    return digit


def main(arguments: list[str] | None = None) -> int:
    """Check a service; the exit status is 0 only if every digit was right."""
    parser = argparse.ArgumentParser(prog="python -m service.smoke", description=__doc__.split("\n")[0])
    parser.add_argument("url", help="address of the service, such as http://localhost:3000")
    parser.add_argument("--model", type=Path, default=BUNDLED_MODEL, help="weights file with golden cases")
    parser.add_argument("--api-keys", type=Path, help="file of API keys; the first one is used")
    options = parser.parse_args(arguments)
    if not options.url.startswith(("http://", "https://")):
        parser.error(f"{options.url} is not an http or https address")

    try:
        api_key = read_keys(options.api_keys)[0].decode() if options.api_keys else ""
        cases = read_weights(options.model).golden
        digits = [predict(options.url, image, api_key=api_key) for image in cases.images]
    except (OSError, ValueError, InvalidModel) as error:
        print(error, file=sys.stderr)
        return 1
    expected = cases.labels.tolist()
    wrong = [
        f"case {i}: expected {want}, got {got}"
        for i, (want, got) in enumerate(zip(expected, digits, strict=True))
        if got != want
    ]
    print("\n".join([*wrong, f"{len(digits) - len(wrong)} of {len(digits)} digits are right"]))
    return 1 if wrong or not digits else 0


if __name__ == "__main__":
    sys.exit(main())
