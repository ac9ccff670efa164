"""The two commands that follow when a weights file is written: serve it here, deploy it on a cluster."""

from __future__ import annotations

import shlex
from pathlib import Path

# A ConfigMap holds 1 MiB, with its own names.
MAX_CONFIG_MAP_BYTES = 1_000_000


def serve_command(weights: Path) -> str:
    """Run the service with this file, in the root of this repository."""
    return f"MODEL_PATH={shlex.quote(str(weights))} make serve"


def deploy_command(weights: Path, version: str) -> str:
    """Install or upgrade the release with this file.

    Each version has a ConfigMap of its own, so that `helm rollback` brings back the one before. A file too
    large for that needs an address.
    """
    upgrade = "helm upgrade --install rust-ml-api charts/rust-ml-api --reset-then-reuse-values"
    if weights.stat().st_size > MAX_CONFIG_MAP_BYTES:
        return f"{upgrade} --set model.url=https://WHERE-IT-IS/{weights.name}"
    name = f"weights-{version}"
    source = shlex.quote(f"--from-file={weights.name}={weights}")
    create = f"kubectl create configmap {name} {source}"
    return f"{create} && {upgrade} --set model.existingConfigMap={name} --set model.file={weights.name}"
