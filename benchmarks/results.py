"""What a benchmark run has found, as it is kept in results.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.drive import Load


@dataclass(frozen=True)
class Run:
    """One contender in one round; `wrong` counts labels that differ from the weights file's own."""

    round: int
    contender: str
    startup_seconds: float
    pss_bytes: int
    wrong: int
    loads: list[Load]

    def load(self, body: str, connections: int) -> Load | None:
        """Find the load with this body at this number of connections."""
        for load in self.loads:
            if (load.body, load.connections) == (body, connections):
                return load
        return None


@dataclass(frozen=True)
class Results:
    """All runs, the machine they ran on, and how: keys and values for people; and which model was served."""

    machine: dict[str, str]
    method: dict[str, Any]
    runs: list[Run]
    model: str = "mnist"

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote."""
        found = json.loads(path.read_text())
        runs = [Run(**run | {"loads": [Load(**load) for load in run["loads"]]}) for run in found["runs"]]
        return cls(found["machine"], found["method"], runs, found.get("model", "mnist"))
