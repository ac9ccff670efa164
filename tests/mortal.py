"""The service with a model that takes its thread with it: ``python -m tests.mortal``.

An image that is all ones is its last; it waits for a file to appear, then it dies.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service import model
from service.__main__ import main

LAST_WORD = "LAST_WORD"  # the environment variable with the path of that file


class Mortal(model.Model):
    """The real model, but for that image."""

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Die of an image that is all ones."""
        if (images == 1).all(axis=1).any():
            while not Path(os.environ[LAST_WORD]).exists():
                time.sleep(0.01)
            raise SystemExit
        return super().logits(images)


if __name__ == "__main__":
    model.Model = Mortal
    main()
