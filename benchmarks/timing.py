"""Time small pieces of work beside each other, so that a noisy moment falls on all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.bodies import DATA

Timer = Callable[[int], float]
"""Does its work the given number of times and returns the seconds that one took."""


def parser(
    name: str, description: str | None, *, rounds: int, seconds: float, per: str
) -> argparse.ArgumentParser:
    """Make the command line of a module here: where the digits are, how long to time, whether to keep it."""
    made = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--data", type=Path, default=DATA, help="folder of the MNIST files")
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--seconds", type=float, default=seconds, help=f"per {per} and round")
    made.add_argument("--write", action="store_true", help="keep what is printed in benchmarks/README.md")
    return made


def timer(work: Callable[[], object]) -> Timer:
    """Make a timer of a function of this process."""

    def run(repeats: int) -> float:
        start = perf_counter()
        for _ in range(repeats):
            work()
        return (perf_counter() - start) / repeats

    return run


def interleave(timers: Mapping[str, Timer], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Run every timer for about `seconds` per round, each round starting with the next one.

    Returns for every name the seconds that one call took, a number per round.
    """
    repeats = {name: _repeats(run, seconds) for name, run in timers.items()}
    taken: dict[str, list[float]] = {name: [] for name in timers}
    names = list(timers)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(timers[name](repeats[name]))
    return taken


def table(title: str, taken: Mapping[str, list[float]], *, per: int) -> str:
    """Lay out best and median microseconds as Markdown, quickest first; one call handles `per` items."""
    lines = [f"| {title} | best µs | median µs |", "| --- | ---: | ---: |"]
    for name, seconds in sorted(taken.items(), key=lambda item: min(item[1])):
        lines.append(f"| {name} | {min(seconds) / per * 1e6:.2f} | {median(seconds) / per * 1e6:.2f} |")
    return "\n".join(lines)


def _repeats(run: Timer, seconds: float) -> int:
    """Find how many calls fill `seconds`, which also warms the work up."""
    repeats = 1
    while (one := run(repeats)) * repeats < seconds / 4:
        repeats *= 2
    return max(1, round(seconds / one))
