"""Limits what refusals cost: past so many in a tenth of a second, refused connections are not read.

To refuse a request costs as much as to read it, more than half of what it costs to answer it. A thousand
clients that are refused and ask again at once would leave no time to serve the others. So every request is
refused at once; but once many have been refused within a tenth of a second, the next connection that is
refused is not read until its turn comes. A client that waits as long as ``Retry-After`` says never notices.
The others get their next answer later, the more there are of them, so that refusing them takes about a tenth
of one processor, however many they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# All at once, and not one by one: a request that arrives alone interrupts the model, a hundred do it once.
INTERVAL_SECONDS = 0.1
REFUSALS_PER_INTERVAL = 80
REFUSAL_BYTES = 1 << 16


class Throttle:
    """Says which refused connections have to pause, and resumes them in order, so many in each interval.

    To read a large body away costs more than to refuse a small request, so it counts as several.
    """

    def __init__(self) -> None:
        self._left = REFUSALS_PER_INTERVAL
        self._paused: deque[tuple[int, Callable[[], None]]] = deque()
        self._scheduled = False

    def count_refusal(self, weight: int = 1) -> bool:
        """Count a refused request, as so many; return whether its connection has to pause."""
        if not weight:
            return False
        self._left -= weight
        self._schedule()
        return self._left < 0

    def pause(self, resume: Callable[[], None], weight: int = 1) -> None:
        """Have this called when the connection may go on."""
        self._paused.append((weight, resume))
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._begin_interval)

    def _begin_interval(self) -> None:
        self._left, self._scheduled = 0, False
        left = REFUSALS_PER_INTERVAL
        for _ in range(len(self._paused)):  # one that is refused again waits for the next interval
            if left <= 0:
                break
            weight, resume = self._paused.popleft()
            left -= weight
            resume()
        self._left = left
        if self._paused:
            self._schedule()


def weigh(body_bytes: int, *, full: bool) -> int:
    """Return how many refusals a refused request counts as; a small one counts if the queue was full."""
    return full + body_bytes // REFUSAL_BYTES
