"""Lay out results as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from benchmarks import contenders
from benchmarks.drive import Load
from benchmarks.results import Results, Run
from benchmarks.targets import verdicts

README = Path(__file__).with_name("README.md")
BODY_TITLES = {"json": "JSON", "octet": "784 bytes"}


def rows(results: Results) -> list[tuple[str, str, list[Run]]]:
    """List what the table shows: a title, a body and the runs, one per round."""
    found = []
    for contender in contenders.BY_MODEL[results.model]:
        runs = [run for run in results.runs if run.contender == contender.name]
        for body in contender.bodies if runs else ():
            title = (
                f"{contender.title}, {BODY_TITLES[body]}" if len(contender.bodies) > 1 else contender.title
            )
            found.append((title, body, runs))
    return found


def measured(runs: Sequence[Run], body: str, connections: int) -> list[Load]:
    """Collect the rounds' loads with one body at one number of connections."""
    return [load for run in runs if (load := run.load(body, connections)) is not None]


def table(results: Results) -> str:
    """Lay out every contender: medians over the rounds, the best round's requests/s in brackets."""
    counts = sorted({load.connections for run in results.runs for load in run.loads})
    head = ["", *(f"requests/s at {count}" for count in counts)]
    head += [f"{name} ms at {count}" for name in ("p50", "p99") for count in counts]
    head += ["errors", "wrong", "CPU µs per request", "ready s", "memory MB"]
    lines = [markdown_row(head), markdown_row(["---", *["---:"] * (len(head) - 1)])]
    for title, body, runs in rows(results):
        loads = {count: measured(runs, body, count) for count in counts}
        cells = [title]
        cells += [_cell(loads[count], _rates) for count in counts]
        cells += [_cell(loads[count], lambda some: _ms([load.p50 for load in some])) for count in counts]
        cells += [_cell(loads[count], lambda some: _ms([load.p99 for load in some])) for count in counts]
        cells += [
            str(sum(load.errors for some in loads.values() for load in some)),
            str(sum(run.wrong for run in runs)),
            _cell(loads[counts[-1]], _cpu),
            f"{median(run.startup_seconds for run in runs):.2f}",
            f"{median(run.pss_bytes for run in runs) / 1e6:.0f}",
        ]
        lines.append(markdown_row(cells))
    return "\n".join(lines)


def targets(results: Results) -> str:
    """Lay out every target with what was measured."""
    lines = [
        markdown_row(["ratio", "bar", "goal", "median", "best rounds", ""]),
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for verdict in verdicts(results):
        target = verdict.target
        sign = "≥" if target.more_is_better else "≤"
        lines.append(
            markdown_row(
                [
                    target.title,
                    f"{sign} {target.bar:g}",
                    f"{sign} {target.goal:g}",
                    f"{verdict.measured:.2f}",
                    f"{verdict.best:.2f}",
                    verdict.word,
                ]
            )
        )
    return "\n".join(lines)


def machine(results: Results) -> str:
    """Lay out the machine and the method as a list."""
    return "\n".join(f"- {name}: {value}" for name, value in (results.machine | results.method).items())


def markdown(results: Results) -> str:
    """Lay out everything that the README's generated part holds."""
    return "\n\n".join([table(results), targets(results), machine(results)])


def replace_section(readme: Path, name: str, text: str) -> None:
    """Put generated text between the marks `<!-- name -->` and `<!-- /name -->` of a Markdown file.

    Raises:
        ValueError: the file lacks these marks.
    """
    before, start, rest = readme.read_text().partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not end:
        raise ValueError(f"{readme} has no marks for the section {name!r}")
    readme.write_text(f"{before}{start}\n{text}\n{end}{after}")


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(loads: Sequence[Load], show: Callable[[Sequence[Load]], str]) -> str:
    return show(loads) if loads else ""


def _rates(loads: Sequence[Load]) -> str:
    rates = [load.served_rate for load in loads]
    return f"{median(rates):,.0f} ({max(rates):,.0f})"


def _ms(microseconds: Sequence[float]) -> str:
    return f"{median(microseconds) / 1000:.2f}"


def _cpu(loads: Sequence[Load]) -> str:
    return f"{median(load.cpu_seconds / max(load.requests, 1) for load in loads) * 1e6:.0f}"
