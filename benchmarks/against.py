"""Measure the working tree beside a commit."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.bench import open_bench
from benchmarks.contenders import ROOT, Contender
from benchmarks.paired import (
    MEMORY,
    READY,
    Pair,
    Quantity,
    cpu_at,
    measure_pairs,
    p50_at,
    p99_at,
    rate_at,
    ratio,
)
from benchmarks.report import markdown_row
from benchmarks.workload import Workload

WORKING_TREE = Contender("working-tree", "working tree", "service")


def compare(
    commit: str,
    workload: Workload,
    service: Contender,
    *,
    rounds: int,
    seconds: int,
    connections: Sequence[int],
) -> str:
    """Measure the service of the working tree and of a commit, and lay the figures out as Markdown.

    Both run in the same virtual environment and serve the same weights file.

    Raises:
        RuntimeError: there is no such commit, or the measurement fails.
    """
    name = _git("rev-parse", "--short", "--verify", f"{commit}^{{commit}}").strip()
    with checked_out(commit) as folder, open_bench(workload) as bench:
        pairs = measure_pairs(
            bench,
            replace(service, name="commit", title=name, folder=folder),
            [replace(service, name=WORKING_TREE.name, title=WORKING_TREE.title)],
            rounds=rounds,
            seconds=seconds,
            connections=connections,
        )
    return table(name, pairs, connections)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, a worktree of this repository, and remove it after.

    Raises:
        RuntimeError: git can't.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "commit"
        _git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def table(name: str, pairs: Sequence[Pair], connections: Sequence[int]) -> str:
    """Lay out a line for each quantity: medians of both, and the ratio."""
    lines = [
        markdown_row(["", name, WORKING_TREE.title, "ratio (range over the rounds)"]),
        markdown_row(["---", "---:", "---:", "---:"]),
    ]
    for quantity in quantities(connections):
        before = median(quantity.of(pair.reference) for pair in pairs)
        after = median(quantity.of(pair.contender) for pair in pairs)
        shown = [quantity.show(before), quantity.show(after), str(ratio(pairs, quantity.of))]
        lines.append(markdown_row([quantity.title, *shown]))
    for title, count in (
        ("errors", lambda run: sum(load.errors for load in run.loads)),
        ("wrong", lambda run: run.wrong),
    ):
        sums = [
            sum(map(count, runs)) for runs in zip(*((p.reference, p.contender) for p in pairs), strict=True)
        ]
        lines.append(markdown_row([title, *map(str, sums), ""]))
    return "\n".join(lines)


def quantities(connections: Sequence[int]) -> list[Quantity]:
    """List what is compared."""
    return [
        *(of(count) for of in (rate_at, p50_at, p99_at, cpu_at) for count in connections),
        READY,
        MEMORY,
    ]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
