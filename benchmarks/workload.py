"""What the contenders serve and are asked: a weights file, request bodies, and the labels to expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Label = int | str


@dataclass(frozen=True)
class Bodies:
    """The same inputs in one kind of request body."""

    content_type: str
    contents: list[bytes]


@dataclass(frozen=True)
class Workload:
    """A weights file, every kind of body by name, the label of each input, and notes for the report."""

    weights: Path
    bodies: Mapping[str, Bodies]
    expected: list[Label]
    notes: Mapping[str, str]

    def describe(self) -> dict[str, str]:
        """Say in the report what is served and sent."""
        sizes = [
            f"{name} {sum(map(len, some.contents)) / len(some.contents):.0f}"
            for name, some in self.bodies.items()
        ]
        return {**self.notes, "bytes per body": ", ".join(sizes)}
