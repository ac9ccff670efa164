"""Asks a running service for the golden cases of a weights file and checks every answer.

    python -m service.smoke http://localhost:3000

It reads the cases without PyTorch, so it starts in a moment: this is what `helm test` runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.api.auth import read_keys
from service.errors import InvalidModel
from service.inference.weights import read_cases
from service.settings import BUNDLED_MODEL, Settings


def predict(
    url: str, image: NDArray[np.float32], target: str, *, api_key: str = "", timeout_seconds: float = 10
) -> str | int:
    """Return the class that the service at this address sees in one flat image.

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
    label: str | int = answer[target]
    return label


def main(arguments: list[str] | None = None) -> int:
    """Check a service; the exit status is 0 only if every answer was right."""
    parser = argparse.ArgumentParser(prog="python -m service.smoke", description=__doc__.split("\n")[0])
    parser.add_argument("url", help="address of the service, such as http://localhost:3000")
    parser.add_argument("--model", type=Path, default=BUNDLED_MODEL, help="weights file with golden cases")
    parser.add_argument("--api-keys", type=Path, help="file of API keys; the first one is used")
    options = parser.parse_args(arguments)
    if not options.url.startswith(("http://", "https://")):
        parser.error(f"{options.url} is not an http or https address")

    try:
        api_key = read_keys(options.api_keys)[0].decode() if options.api_keys else ""
        settings = Settings.from_env(os.environ)
        card, cases = read_cases(options.model, max_bytes=settings.max_model_bytes)
        labels = [predict(options.url, image, card.target, api_key=api_key) for image in cases.images]
    except (OSError, ValueError, InvalidModel) as error:
        print(error, file=sys.stderr)
        return 1
    expected = [card.classes[place] for place in cases.labels]
    wrong = [
        f"case {i}: expected {want}, got {got}"
        for i, (want, got) in enumerate(zip(expected, labels, strict=True))
        if got != want
    ]
    print("\n".join([*wrong, f"{len(labels) - len(wrong)} of {len(labels)} answers are right"]))
    return 1 if wrong or not labels else 0


if __name__ == "__main__":
    sys.exit(main())
