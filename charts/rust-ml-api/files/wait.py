"""Wait until the training Job has written a weights file: PATH."""

import sys
import time
from pathlib import Path

path = Path(sys.argv[1])
print(f"waiting for {path}", flush=True)
while not path.exists():
    time.sleep(2)
print(f"{path} exists")
