"""What each piece that is there for speed is worth: the service without it, beside the service as it is."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.ablated import PIECES
from benchmarks.against import WORKING_TREE
from benchmarks.bench import open_bench
from benchmarks.contenders import Contender
from benchmarks.paired import Pair, measure_pairs, p50_at, rate_at, ratio, served_at
from benchmarks.report import markdown_row
from benchmarks.workload import Workload

# The throttle has a worth under overload alone: many connections ask without a pause, few images may wait.
OVERLOAD_CONNECTIONS = 1024
OVERLOAD = {"MAX_QUEUE_SIZE": "64"}
CONNECTIONS = (1, 8, 64)


def measure(workload: Workload, *, rounds: int, seconds: int) -> str:
    """Measure every ablation, and lay the ratios out as Markdown.

    Raises:
        RuntimeError: wrk is missing, or a server fails.
    """
    contenders = [_without(name) for name in PIECES]
    overloaded = Contender("service-overloaded", "service", "service", environment=OVERLOAD)
    with open_bench(workload) as bench:
        pairs = measure_pairs(
            bench, WORKING_TREE, contenders, rounds=rounds, seconds=seconds, connections=CONNECTIONS
        )
        overload = measure_pairs(
            bench,
            overloaded,
            [_without("throttle", OVERLOAD)],
            rounds=rounds,
            seconds=seconds,
            connections=[OVERLOAD_CONNECTIONS],
        )
    return table(pairs, overload)


def table(pairs: Sequence[Pair], overload: Sequence[Pair]) -> str:
    """Lay out a line for each piece: medians of the ratios, without it over with it."""
    quantities = [*map(rate_at, CONNECTIONS), p50_at(1)]
    lines = [
        markdown_row(["without", *(quantity.title for quantity in quantities)]),
        markdown_row(["---", *["---:"] * len(quantities)]),
    ]
    for name, (title, _) in PIECES.items():
        own = [pair for pair in pairs if pair.contender.contender == name]
        lines.append(markdown_row([title, *(f"{ratio(own, one.of).median:.2f}" for one in quantities)]))
    served = served_at(OVERLOAD_CONNECTIONS)
    worth = ratio(overload, served.of)
    lines += [
        "",
        f"Under overload ({OVERLOAD_CONNECTIONS:,} connections that never pause, room for "
        f"{OVERLOAD['MAX_QUEUE_SIZE']} images) the service without the throttle gives {worth} of the "
        "predictions per second that it gives with it.",
    ]
    return "\n".join(lines)


def _without(name: str, environment: dict[str, str] | None = None) -> Contender:
    title, _ = PIECES[name]
    return Contender(
        name, f"without {title}", "benchmarks.ablated", arguments=(name,), environment=environment or {}
    )
