"""Download a weights file: URL PATH SHA256 MAX_BYTES.

PATH never holds a part of it: a temporary file is renamed. What goes wrong is told in one sentence, which
`kubectl describe pod` shows.
"""

import contextlib
import hashlib
import signal
import socket
import ssl
import sys
import time
import zipfile
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

# How long a server may be silent, and how long all of it may take.
SILENT_SECONDS = 30
ALL_SECONDS = 1800
BLOCK_BYTES = 1 << 20


def download(file):
    """Write what the URL has into a file, and return its SHA-256 and how many bytes it has."""
    end = time.monotonic() + ALL_SECONDS
    digest, size = hashlib.sha256(), 0
    # The chart's schema lets only http and https through.
    request = Request(url, headers={"User-Agent": "rust-ml-api"})  # noqa: S310
    with urlopen(request, timeout=SILENT_SECONDS) as response:  # noqa: S310
        announced = int(response.headers.get("Content-Length") or 0)
        while max(announced, size) <= max_bytes and (block := response.read1(BLOCK_BYTES)):
            digest.update(block)
            size += len(block)
            try:
                file.write(block)
            except OSError as error:
                fail(f"{path} can't be written: {error.strerror}")
            if time.monotonic() > end:
                fail(f"{url} can't be downloaded: {size} bytes came in {ALL_SECONDS} s")
    if max(announced, size) > max_bytes:
        fail(f"{url} is larger than {max_bytes} bytes, the limit for a weights file (settings.maxModelBytes)")
    if file.tell() < size:  # a disk that is almost full takes a part of a block
        fail(f"{path} can't be written: No space left on device")
    if size < announced:
        fail(f"{url} can't be downloaded: the connection ended after {size} of {announced} bytes")
    return digest.hexdigest(), size


def why(error):
    """Say in words why a download failed."""
    if isinstance(error, HTTPError):
        return f"HTTP Error {error.code}: {error.reason.splitlines()[0]}"
    if isinstance(error, UnicodeError):
        return "it has characters that must be percent-encoded"
    if isinstance(error, IncompleteRead):
        return "the connection ended before the file did"
    error = getattr(error, "reason", error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return f"the name of the host can't be resolved: {error.strerror}"
    if isinstance(error, TimeoutError):
        return f"nothing came for {SILENT_SECONDS} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def is_archive(file):
    """Say whether a file can be a TorchScript archive; the service looks closer."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def fail(sentence):
    """End without a file."""
    with contextlib.suppress(OSError):
        part.unlink()
    sys.exit(sentence)


url, path, sha256, max_bytes = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
part = path.with_name(path.name + ".part")
# The first process of a container ignores SIGTERM unless it says what to do.
signal.signal(signal.SIGTERM, lambda *_: fail(f"stopped before {url} was downloaded"))
try:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = part.open("wb", buffering=0)
except OSError as error:
    fail(f"{path} can't be written: {error.strerror}")
with file:
    try:
        found, size = download(file)
    except (OSError, HTTPException, ValueError) as error:
        fail(f"{url} can't be downloaded: {why(error)}; check model.url")
if sha256 and found != sha256:
    fail(f"{url} has sha256 {found}, but model.sha256 is {sha256}")
if not is_archive(part):
    with part.open("rb") as file:
        fail(f"{url} is no weights file: its {size} bytes begin with {file.read(20)} and are no TorchScript")
try:
    part.replace(path)
except OSError as error:
    fail(f"{path} can't be written: {error.strerror}")
print(f"{path}: {size} bytes, sha256 {found}")
