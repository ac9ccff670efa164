"""How far the work is: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

# A log says at least this often that work goes on.
SILENCE_SECONDS = 30.0


class Progress:
    """One stage of the work, of `total` parts, as a context manager.

    Where stderr is no terminal, the stage gets one line once it is over, and before that one for every half
    minute.
    """

    def __init__(self, title: str, total: int, unit: str, *, shown: bool = True) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.figures = ""
        self.lines = shown and not sys.stderr.isatty()
        self.bar: tqdm[Any] = tqdm(
            total=total, desc=title, unit=unit, unit_scale=total > 10_000, disable=self.lines or not shown
        )
        self.started = self.last_line = time.monotonic()

    def update(self, count: int = 1) -> None:
        """So many more parts are done."""
        self.done += count
        self.bar.update(count)
        now = time.monotonic()
        if self.lines and now - self.last_line >= SILENCE_SECONDS:
            self.last_line = now
            self._print(f"{self.done:,} of {self.total:,} {self.unit} {self.figures}".rstrip())

    def show(self, **figures: str) -> None:
        """What has been measured so far."""
        self.figures = ", ".join(f"{name}={value}" for name, value in figures.items())
        self.bar.set_postfix_str(self.figures)

    def __enter__(self) -> Self:
        """Begin the stage."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands, or say the stage's line unless it failed."""
        self.bar.close()
        if self.lines and kind is None:
            self._print(f"{self.figures or 'done'} ({time.monotonic() - self.started:.0f} s)")

    def _print(self, text: str) -> None:
        print(f"{self.title}: {text}", file=sys.stderr, flush=True)
