#!/usr/bin/env bash
# Print the index with PyTorch's CPU builds, for pip's --extra-index-url, where it is the better choice:
#     tools/torch_index.sh PYTHON
# On Linux the builds of PyPI bring gigabytes of CUDA. Nothing is printed where there is an NVIDIA GPU, where pip has
# been told of an index, or where this one does not answer within three seconds.
set -euo pipefail
index=${TORCH_INDEX_URL-https://download.pytorch.org/whl/cpu}

[[ $(uname -s) = Linux ]] || exit 0
command -v nvidia-smi >/dev/null && exit 0
[[ -z ${PIP_INDEX_URL-}${PIP_EXTRA_INDEX_URL-}${PIP_NO_INDEX-}${PIP_FIND_LINKS-} ]] || exit 0
# pip's own files count, too; a pip that does not answer is left alone.
settings=$("$1" -m pip --disable-pip-version-check config list) || exit 0
grep -Eq '^(global|install|:env:)\.(index-url|extra-index-url|no-index|find-links)=' <<<"$settings" && exit 0
"$1" - "$index/torch/" <<'PYTHON' || exit 0
import sys
import urllib.request

try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=3).close()
except (OSError, ValueError):
    sys.exit(1)
PYTHON
echo "$index"
