"""Which of the images that wait go into a batch."""

from __future__ import annotations

import pytest

from service.inference.image_queue import ImageQueue
from service.inference.pending import PendingImage


class Reply:
    """A reply that may have its answer."""

    def __init__(self, *, done: bool = False) -> None:
        self._done = done

    def done(self) -> bool:
        return self._done


def queue_of(alone: int, of_many: int) -> ImageQueue:
    """Images of a request with many, from 100 on, and then images that come alone, from 0 on."""
    queue = ImageQueue()
    for number in range(of_many):
        queue.put(PendingImage(100 + number, Reply(), 0.0, None), alone=False)
    for number in range(alone):
        queue.put(PendingImage(number, Reply(), 0.0, None), alone=True)
    return queue


@pytest.mark.parametrize(
    ("alone", "of_many", "count", "taken"),
    [
        (3, 0, 3, [0, 1, 2]),
        (0, 3, 2, [100, 101]),
        (1, 200, 4, [0, 100, 101, 102]),
        (200, 200, 8, [0, 1, 2, 3, 4, 5, 100, 101]),
        (200, 1, 8, [0, 1, 2, 3, 4, 5, 6, 100]),
        (2, 2, 1, [0]),
    ],
)
def test_those_that_came_alone_go_first_and_the_others_have_their_share(alone, of_many, count, taken):
    queue = queue_of(alone, of_many)

    images = queue.take(count)

    assert [each.image for each in images] == taken
    assert len(queue) == len(list(queue)) == alone + of_many - count


def test_what_is_answered_is_removed():
    queue = queue_of(2, 2)
    for alone in (True, False):
        queue.put(PendingImage(-1, Reply(done=True), 0.0, None), alone=alone)

    queue.remove_answered()

    assert [each.image for each in queue] == [0, 1, 100, 101]
    queue.clear()
    assert len(queue) == 0
