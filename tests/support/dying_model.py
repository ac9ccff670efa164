"""The service with a model that ends its thread: ``python -m tests.support.dying_model``.

An image that is all ones is its last: it waits for the file DIE_FILE to appear, then the thread ends.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.__main__ import main
from service.inference import model


class DyingModel(model.Model):
    """The real model, but for that image, always in its thread."""

    inline_size = property(lambda _: 0, lambda *_: None)  # type: ignore[assignment]

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """End the thread on an image that is all ones."""
        if (images == 1).all(axis=1).any():
            while not Path(os.environ["DIE_FILE"]).exists():
                time.sleep(0.01)
            raise SystemExit
        return super().logits(images)


if __name__ == "__main__":
    model.Model = DyingModel
    main()
