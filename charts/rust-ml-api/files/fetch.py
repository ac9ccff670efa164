"""Download a weights file: URL PATH SHA256. PATH never holds a part of it: a temporary file is renamed."""

import hashlib
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

LIMIT = 64 * 1024 * 1024

url, path, sha256 = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
# The chart's schema lets only http and https through.
request = urllib.request.Request(url, headers={"User-Agent": "rust-ml-api"})  # noqa: S310
try:
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        data = response.read(LIMIT + 1)
except (OSError, HTTPException, ValueError) as error:
    reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
    sys.exit(f"{url} can't be downloaded: {reason or type(error).__name__}; check model.url")
if len(data) > LIMIT:
    sys.exit(f"{url} is larger than {LIMIT} bytes, the limit for a weights file")
found = hashlib.sha256(data).hexdigest()
if sha256 and found != sha256:
    sys.exit(f"{url} has sha256 {found}, but model.sha256 is {sha256}")
part = path.with_name(path.name + ".part")
try:
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(data)
    part.replace(path)
except OSError as error:
    sys.exit(f"{path} can't be written: {error.strerror}")
print(f"{path}: {len(data)} bytes, sha256 {found}")
