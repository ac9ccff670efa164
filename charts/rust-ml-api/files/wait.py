"""Waits until the training Job has written a weights file: PATH."""

import os
import sys
import time

path = sys.argv[1]
print(f"waiting for {path}", flush=True)
while not os.path.exists(path):
    time.sleep(2)
print(f"{path} is there")
