"""How long the load tests run, and whether they hold the figures of docs/promises.md.

`make soak` sets SOAK=1. An ordinary run is short, beside whatever else the machine does: it asserts what is
answered, and prints how fast.
"""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"
RESTARTS = int(os.environ.get("RESTARTS", "20" if SOAK else "2"))
OVERLOAD_SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "10" if SOAK else "1"))
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "600" if SOAK else "5"))
