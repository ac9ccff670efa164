"""Keeps those who are refused from taking the time of those who are served.

To refuse a request costs as much as to read it, more than half of what it costs to answer it. A thousand
clients that are turned away and ask again at once would leave no time to serve anybody: they did, before
this was here. So everybody is told at once; but once many have been refused within a tenth of a second,
whoever is refused next is not listened to until the turnstile has come round. A client that waits as long as
it was told never notices. The others get their next answer later, the more there are of them, so that
refusing them takes about a tenth of one processor, however many they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# All at once, and not one by one: a request that arrives alone interrupts the model, a hundred do it once.
TURN_SECONDS = 0.1
REFUSED_PER_TURN = 80


class Turnstile:
    """Says who has to wait outside, and calls them back in their order, so many in each turn."""

    def __init__(self) -> None:
        self._left = REFUSED_PER_TURN
        self._outside: deque[Callable[[], None]] = deque()
        self._turning = False

    def refused(self) -> bool:
        """Count somebody who was refused; return whether they have to wait outside."""
        self._left -= 1
        self._keep_turning()
        return self._left < 0

    def wait_outside(self, come_in: Callable[[], None]) -> None:
        """Have this called when its turn has come."""
        self._outside.append(come_in)
        self._keep_turning()

    def _keep_turning(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_later(TURN_SECONDS, self._turn)

    def _turn(self) -> None:
        self._left, self._turning = 0, False
        coming = min(len(self._outside), REFUSED_PER_TURN)
        for _ in range(coming):
            self._outside.popleft()()
        self._left = REFUSED_PER_TURN - coming
        if self._outside:
            self._keep_turning()
