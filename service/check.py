"""``python -m service.check FILE``: the command; ``service.inference.check`` does the work."""

from __future__ import annotations

import sys

from service.inference.check import main

if __name__ == "__main__":
    sys.exit(main())
