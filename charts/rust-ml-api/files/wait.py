"""Wait until the training Job has written a weights file: PATH."""

import signal
import sys
import time
from pathlib import Path

path = Path(sys.argv[1])
# The first process of a container ignores SIGTERM unless it says what to do.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"stopped before {path} existed"))
print(f"waiting for {path}", flush=True)
try:
    while not path.exists():
        time.sleep(2)
except OSError as error:
    sys.exit(f"{path} can't be read: {error.strerror}")
print(f"{path} exists")
