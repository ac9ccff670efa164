"""`python -m training` within the test's own process: PyTorch takes seconds to import, each time."""

from __future__ import annotations

import contextlib
import io
import signal
from typing import NamedTuple

import torch

from training.__main__ import main


class Finished(NamedTuple):
    """How the command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Interrupting(io.StringIO):
    """A terminal at which a person presses Ctrl-C as soon as it shows a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def isatty(self) -> bool:
        return True

    def write(self, shown: str) -> int:
        written = super().write(shown)
        if self.text and self.text in self.getvalue():
            self.text = ""
            raise KeyboardInterrupt
        return written


def train(*arguments: str, interrupt_at: str = "") -> Finished:
    """Run the command, without a terminal unless it is to be interrupted there."""
    out, err = io.StringIO(), Interrupting(interrupt_at) if interrupt_at else io.StringIO()
    threads, sigterm = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(["--threads", "1", *arguments])
    except SystemExit as ended:
        code = ended.code
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
        signal.signal(signal.SIGTERM, sigterm)
    # As the interpreter does it: a text goes to stderr.
    said = "" if isinstance(code, int) else f"{code}\n"
    return Finished(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue() + said)
