"""The images that wait for the model, and which of them the next batch is made of."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

from service.inference.pending import PendingImage

# While images that came alone wait, those of requests with many have so much of each batch: one of so many.
SHARE_OF_MANY = 4


class ImageQueue:
    """Images that came alone go before those of requests with many, which always have a part of the batch.

    So a small request waits for the batch in hand, and not for hundreds of images of somebody else.
    """

    def __init__(self) -> None:
        self._alone: deque[PendingImage] = deque()
        self._of_many: deque[PendingImage] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._alone) + len(self._of_many)

    def __iter__(self) -> Iterator[PendingImage]:
        """All that wait."""
        return itertools.chain(self._alone, self._of_many)

    def put(self, image: PendingImage, *, alone: bool) -> None:
        """Add an image."""
        (self._alone if alone else self._of_many).append(image)

    def take(self, count: int) -> list[PendingImage]:
        """Remove and return so many, of either kind the oldest first; so many have to be there."""
        of_many = min(len(self._of_many), max(count - len(self._alone), count // SHARE_OF_MANY))
        images = [self._alone.popleft() for _ in range(count - of_many)]
        images += [self._of_many.popleft() for _ in range(of_many)]
        return images

    def remove_answered(self) -> None:
        """Remove those whose replies need no answer any more."""
        self._alone = deque(image for image in self._alone if not image.reply.done())
        self._of_many = deque(image for image in self._of_many if not image.reply.done())

    def clear(self) -> None:
        """Remove all."""
        self._alone.clear()
        self._of_many.clear()
