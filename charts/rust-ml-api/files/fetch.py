"""Downloads a weights file: URL PATH [SHA256]. Written beside its place and renamed, so never half there."""

import hashlib
import os
import sys
import urllib.request

url, path, sha256 = sys.argv[1:4]
limit = 64 * 1024 * 1024
request = urllib.request.Request(url, headers={"User-Agent": "rust-ml-api"})
with urllib.request.urlopen(request, timeout=30) as response:
    data = response.read(limit + 1)
if len(data) > limit:
    sys.exit(f"{url} is larger than {limit} bytes, too large for a weights file")
found = hashlib.sha256(data).hexdigest()
if sha256 and found != sha256:
    sys.exit(f"{url} has sha256 {found}, but model.sha256 is {sha256}")
with open(path + ".part", "wb") as file:
    file.write(data)
os.replace(path + ".part", path)
print(f"{path}: {len(data)} bytes, sha256 {found}")
