"""The commands of a document, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.server import Server


def commands(document: Path) -> list[str]:
    """What stands after a `$` in the code blocks, in order; lines that end in a backslash go on."""
    blocks = re.findall(r"^```console\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = "".join(blocks).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def run(command: str, folder: Path, server: Server | None = None) -> str:
    """Run a command in a folder from which the project's own folders can be reached; return what it prints.

    Where there is a server, it takes the place of the one on localhost.
    """
    for name in ("charts", "examples", "service", "tests", "training"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    if server is not None:
        command = re.sub(r"(https?://)?localhost:\d+", server.url, command)
    words = shlex.split(command)
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run(
        [program if program.exists() else words[0], *words[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
