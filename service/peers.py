"""What the workers of one service know of each other, so that they look like one from outside.

A scrape reaches one worker and means all: it asks the others for their figures, and adds them up. No total
ever goes back: whoever takes the place of a worker that has died goes on from its figures. A health check
means all, too. And new weights serve nowhere before they could serve everywhere, so that no client sees the
old ones after the new; what has come of them is told once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.board import WORDS, Board

# The name, help and type of a metric, and its samples: name, labels, value.
Family: TypeAlias = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]

# What is not added up: workers start one after the other, and have the same weights.
EARLIEST = ("process_start_time_seconds",)
LARGEST = ("model_info",)
# What still counts when its worker has ended.
LASTING = ("counter", "histogram")

# The numbers that a worker shows: when it was last heard of, in nanoseconds on the monotonic clock, which all
# processes share (0: it is not there); whether it is stuck; and, while it takes any, its connections and 1.
AT, STUCK, CONNECTIONS = range(3)

# By how many connections, and by what part of them, a worker may be ahead of another without caring: to have
# clients that stay for one request wait for a balance that is gone at once would cost a fifth of their rate.
LEAD, LEAD_PART = 4, 8

# How long to wait for others, and how often to look meanwhile.
FIGURES_SECONDS = 0.5
OUTCOME_SECONDS = 5.0
LOOK_SECONDS = 0.002


class Peers(Collector):
    """A worker's view of all; ``registry`` exposes what they have counted together."""

    def __init__(self, board: Board, place: int) -> None:
        self._board = board
        self._place = place
        self._before = _decode(board.read(place))
        self._figures = CollectorRegistry()
        self._is_stuck: Callable[[], bool] = lambda: False
        self.registry = CollectorRegistry()
        self.registry.register(self)

    @classmethod
    def alone(cls) -> Peers:
        """One worker, by itself."""
        return cls(Board(1), 0)

    def join(self, figures: CollectorRegistry, is_stuck: Callable[[], bool]) -> None:
        """Begin to answer the others, from the event loop that runs."""
        self._figures = figures
        self._is_stuck = is_stuck
        if self._board.bells:
            asyncio.get_running_loop().add_reader(self._board.bells[self._place], self._answer)

    def tell(self) -> None:
        """Let the others know how this worker gets on, and what it has counted."""
        if self._board.bells:
            self._pin()

    def _pin(self) -> None:
        own = [_family(metric) for metric in self._figures.collect()]
        families = _merged([self._before, own]) if self._before else own
        self._board.pin(self._place, orjson.dumps(families))
        self._board.show(self._place, STUCK, self._is_stuck())
        self._board.show(self._place, AT, time.monotonic_ns())

    def _answer(self) -> None:
        os.eventfd_read(self._board.bells[self._place])
        self.tell()

    def any_stuck(self, silence_seconds: float) -> bool:
        """Whether another worker doesn't get on, or has not been heard of for so long."""
        silent = time.monotonic_ns() - silence_seconds * 1e9
        return any(at and at < silent for at in self._of_others(AT)) or any(self._of_others(STUCK))

    async def gather(self) -> None:
        """Have the others pin up their figures of now; one that is slow to do so counts with its last."""
        asked = time.monotonic_ns()
        for place, at in enumerate(self._board.shown(AT)):
            if at and place != self._place:
                self._board.ring(place)
        while time.monotonic_ns() < asked + FIGURES_SECONDS * 1e9:
            if all(at == 0 or at >= asked for at in self._of_others(AT)):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all workers, added up, as the client library asks of a collector."""
        self._pin()
        for name, help_, type_, samples in _merged(map(_decode, self._board.notes())):
            metric = Metric(name, help_, type_)
            for sample in samples:
                metric.add_sample(*sample)
            yield metric

    def conclude(self, outcome: str) -> None:
        """Let the others know what has come of the weights file here."""
        word = hashlib.blake2b(outcome.encode(), digest_size=8).digest()
        self._board.say(self._place, int.from_bytes(word, "little") or 1)

    def unanimous(self) -> bool:
        """Whether the same has come of it everywhere."""
        last = [words[0] for words in self._board.said()]
        return all(word in (0, last[self._place]) for word in last)

    async def is_to_report(self) -> bool:
        """Whether to tell the world what was concluded: for the first worker, and for one that differs."""
        deadline = time.monotonic() + OUTCOME_SECONDS
        while time.monotonic() < deadline:
            said = self._board.said()
            first = next(place for place, words in enumerate(said) if words[0])
            if first == self._place:
                return True
            if said[self._place][0] in said[first]:  # it may have gone on to the next file by now
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    def take_part(self, connections: int) -> None:
        """Let the others know that this worker takes connections, and how many it has."""
        self._board.show(self._place, CONNECTIONS, connections + 1)

    def is_our_turn(self, connections: int) -> bool:
        """Whether to take another connection, having so many: no other worker has clearly fewer."""
        self.take_part(connections)
        others = [shown - 1 for shown in self._of_others(CONNECTIONS) if shown]
        fewest = min(others, default=connections)
        return connections <= fewest + LEAD + fewest // LEAD_PART

    def take_no_part(self) -> bool:
        """Let the others know that this worker takes no more connections; return whether any of them does."""
        self._board.show(self._place, CONNECTIONS, 0)
        return any(self._of_others(CONNECTIONS))

    def _of_others(self, which: int) -> list[int]:
        shown = self._board.shown(which)
        del shown[self._place]
        return shown


def is_served(board: Board) -> bool:
    """Whether any worker has said that it is there, and has not ended since."""
    return any(board.shown(AT))


def bury(board: Board, place: int) -> None:
    """Note that the worker in this place has ended, and keep what it has counted."""
    for which in (AT, STUCK, CONNECTIONS):
        board.show(place, which, 0)
    board.say(place, *[0] * WORDS)
    lasting = [family for family in _decode(board.read(place)) if family[2] in LASTING]
    board.pin(place, orjson.dumps(lasting))


def _decode(note: bytes) -> list[Family]:
    families: list[Family] = orjson.loads(note) if note else []
    return families


def _family(metric: Metric) -> Family:
    samples = [(sample.name, sample.labels, sample.value) for sample in metric.samples]
    return metric.name, metric.documentation, metric.type, samples


def _merged(each: Iterable[list[Family]]) -> list[Family]:
    """Add the figures of several workers up."""
    heads: dict[str, tuple[str, str, str]] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for families in each:
        for name, help_, type_, samples in families:
            heads[name] = name, help_, type_
            figures = values.setdefault(name, {})
            for sample, labels, value in samples:
                key = sample, tuple(labels.items())
                figures[key] = _combined(sample, figures[key], value) if key in figures else value
    return [
        (*heads[name], [(sample, dict(labels), value) for (sample, labels), value in figures.items()])
        for name, figures in values.items()
    ]


def _combined(sample: str, one: float, other: float) -> float:
    if sample in EARLIEST or sample.endswith("_created"):
        return min(one, other)
    return max(one, other) if sample in LARGEST else one + other
