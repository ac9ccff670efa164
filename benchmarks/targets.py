"""The ratios that the service is held to, all from one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.drive import Load
from benchmarks.results import Results, Run

Round = Mapping[str, Run]
"""The runs of one round by contender."""
Quantity = Callable[[Round], float]


@dataclass(frozen=True)
class Target:
    """One quantity over another: a bar to clear and a goal to try for."""

    title: str
    of: Quantity
    over: Quantity
    bar: float
    goal: float
    more_is_better: bool = True


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured: the median of the rounds' ratios, and the ratio of the best rounds."""

    target: Target
    measured: float
    best: float

    @property
    def word(self) -> str:
        """Say how the median did: goal reached, met, or missed."""
        sign = 1 if self.target.more_is_better else -1
        if sign * self.measured >= sign * self.target.goal:
            return "goal reached"
        return "met" if sign * self.measured >= sign * self.target.bar else "missed"


def _rate(contender: str, body: str = "json", connections: int = 64) -> Quantity:
    return lambda runs: _found(runs, contender, body, connections).served_rate


def _p50(contender: str, connections: int) -> Quantity:
    return lambda runs: _found(runs, contender, "json", connections).p50


def _p99(contender: str, connections: int, body: str = "json") -> Quantity:
    return lambda runs: _found(runs, contender, body, connections).p99


def _found(runs: Round, contender: str, body: str, connections: int) -> Load:
    load = runs[contender].load(body, connections)
    if load is None:
        raise KeyError(connections)
    return load


def _others(runs: Round, connections: int) -> list[Load]:
    """The loads of all other servers of photos."""
    loads = [
        load
        for name, run in runs.items()
        for load in run.loads
        if name != "service" and load.connections == connections
    ]
    if not loads:
        raise KeyError(connections)
    return loads


def _best_rate(connections: int) -> Quantity:
    return lambda runs: max(load.served_rate for load in _others(runs, connections))


def _best_p99(connections: int) -> Quantity:
    return lambda runs: min(load.p99 for load in _others(runs, connections))


DIGITS = (
    Target("requests/s, 64 connections, JSON, against FastAPI", _rate("service"), _rate("fastapi"), 6, 10),
    Target(
        "requests/s, 64 connections, JSON, against FastAPI with async def",
        _rate("service"),
        _rate("fastapi-async"),
        6,
        10,
    ),
    Target("requests/s, 64 connections, JSON, against LitServe", _rate("service"), _rate("litserve"), 12, 20),
    *(
        Target(
            f"requests/s, {count} connection{'s' if count > 1 else ''}, JSON, against mosec",
            _rate("service", connections=count),
            _rate("mosec", connections=count),
            1,
            2,
        )
        for count in (1, 8, 64)
    ),
    Target("requests/s, 64 connections, JSON, against the echo", _rate("service"), _rate("echo"), 0.6, 1),
    Target(
        "requests/s, 64 connections, 784 bytes, against the echo",
        _rate("service", "octet"),
        _rate("echo"),
        0.85,
        1.3,
    ),
    Target(
        "p50, one connection, JSON, against the echo", _p50("service", 1), _p50("echo", 1), 2.5, 1.8, False
    ),
    Target(
        "p99 against p50, 64 connections, JSON", _p99("service", 64), _p50("service", 64), 2.5, 1.6, False
    ),
    Target(
        "memory against FastAPI",
        lambda runs: runs["service"].pss_bytes,
        lambda runs: runs["fastapi"].pss_bytes,
        1.05,
        1,
        False,
    ),
    Target(
        "time to ready against FastAPI",
        lambda runs: runs["service"].startup_seconds,
        lambda runs: runs["fastapi"].startup_seconds,
        1.05,
        1,
        False,
    ),
)
PHOTOS = (
    *(
        Target(
            f"requests/s, {count} connection{'s' if count > 1 else ''}, against the best of the others",
            _rate("service", "jpeg", count),
            _best_rate(count),
            1,
            1.2,
        )
        for count in (1, 8, 64)
    ),
    Target(
        "p99, 8 connections, against the best of the others",
        _p99("service", 8, "jpeg"),
        _best_p99(8),
        1,
        0.8,
        False,
    ),
)
BY_MODEL = {"mnist": DIGITS, "resnet18": PHOTOS}


def verdicts(results: Results) -> list[Verdict]:
    """Judge every target for which the runs hold both quantities."""
    rounds: dict[int, dict[str, Run]] = {}
    for run in results.runs:
        rounds.setdefault(run.round, {})[run.contender] = run
    judged = []
    for target in BY_MODEL[results.model]:
        try:
            of = [target.of(runs) for runs in rounds.values()]
            over = [target.over(runs) for runs in rounds.values()]
        except KeyError:
            continue
        best = max if target.more_is_better else min
        ratios = [one / other for one, other in zip(of, over, strict=True)]
        judged.append(Verdict(target, median(ratios), best(of) / best(over)))
    return judged
