"""Asks a running service for the golden cases of a weights file and checks every answer.

    python -m service.smoke http://localhost:3000

It reads the cases straight out of the archive, so it starts in a moment and needs no PyTorch: this is what
`helm test` runs.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.settings import BUNDLED_MODEL


class GoldenCases(NamedTuple):
    """Real test images and what they show."""

    images: NDArray[np.uint8]  # [K, 28, 28], 0..255
    labels: NDArray[np.uint8]  # [K]


def read_golden_cases(path: Path) -> GoldenCases:
    """Read the golden cases of a weights file: a ZIP archive with `golden.npz` among its extra files.

    Raises:
        ValueError: the file is no such archive.
        OSError: the file can't be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            [member] = [name for name in archive.namelist() if name.endswith("/extra/golden.npz")]
            golden = np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
        return GoldenCases(golden["images"], golden["labels"])
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not a weights file with golden cases: {error}") from None


def first_key(path: Path) -> str:
    """Read the first key of a file with one on each line; lines that begin with # are comments.

    Raises:
        ValueError: there is none.
    """
    lines = (line.strip() for line in path.read_text().splitlines())
    key = next((line for line in lines if line and not line.startswith("#")), None)
    if key is None:
        raise ValueError(f"{path} holds no API key")
    return key


def predict(url: str, image: NDArray[np.uint8], *, api_key: str = "", timeout_seconds: float = 10) -> int:
    """The digit that the service at this address sees in one image.

    Raises:
        OSError: it can't be reached, or refuses; the message holds its status and answer.
    """
    body = json.dumps({"image": (image.reshape(-1) / 255).tolist()}).encode()
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
        api_key = first_key(options.api_keys) if options.api_keys else ""
        cases = read_golden_cases(options.model)
        digits = [predict(options.url, image, api_key=api_key) for image in cases.images]
    except (OSError, ValueError) as error:
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
