"""The code blocks of a document, and its commands run as they stand.

The word after a block's language says what runs it:

- none: ``tests/docs/test_guides.py`` runs it as it stands, against one server with the default settings
- ``guide``: a test of this document there, with the files that it needs
- ``install``: it installs or takes minutes; ``make`` is asked what it would do
- ``docker``, ``cluster``, ``collector``, ``registry``: it needs Docker, a Kubernetes cluster, a collector of
  traces or what a release has published, so nothing runs it here
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT
from tests.support.preloaded import PreloadedProcess
from tests.support.server import Server

TAGS = {"", "guide", "install", "docker", "cluster", "collector", "registry"}


class Block(NamedTuple):
    """A code block: its language, the word after it, and its text."""

    language: str
    tag: str
    text: str

    def commands(self) -> list[str]:
        """What stands after a `$`, in order; lines that end in a backslash go on."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def blocks(document: Path) -> list[Block]:
    """Every code block of a document, in order."""
    found = re.findall(r"^```(\w*) *([^\n]*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(*block) for block in found]


def commands(document: Path, tag: str = "") -> list[str]:
    """The commands of a document in the blocks with this tag, in order."""
    return [
        command
        for block in blocks(document)
        if block.language == "console" and block.tag == tag
        for command in block.commands()
    ]


def at(server: Server, text: str) -> str:
    """A text in which the server takes the place of the one on localhost."""
    return re.sub(r"(https?://)?localhost:\d+", server.url, text)


def run(command: str, folder: Path, server: Server | None = None) -> str:
    """Run a command in a folder from which the project's own folders can be reached; return what it prints.

    Where there is a server, it takes the place of the one on localhost.
    """
    for name in ("charts", "examples", "service", "tests", "training"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    if server is not None:
        command = at(server, command)
    words = shlex.split(command)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    if words[:2] == ["python", "-m"]:
        output = folder / "output.txt"
        process = PreloadedProcess(words[2:], environment, folder, output)
        status, printed = process.wait(), output.read_text()
        output.unlink()
    else:
        status, printed = _run_program(words, environment, folder)
    assert status == 0, f"{command}\n{printed}"
    return printed


def _run_program(words: list[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
    program = Path(sys.executable).with_name(words[0])
    if words[0] == "curl":
        words.insert(1, "--fail-with-body")  # else its exit status does not say that the answer is an error
    done = subprocess.run(
        [program if program.exists() else words[0], *words[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"
