"""The service, logging again and again how many tasks it has: ``python -m tests.support.task_count``."""

from __future__ import annotations

import asyncio
import logging

from service import __main__ as program
from service.server.server import Server

logger = logging.getLogger(__name__)

TICKS = 2


class TaskCountServer(Server):
    """The real server, but for the line that it writes every 0.2 s."""

    async def on_tick(self, counter: int) -> bool:
        """Count the tasks of the event loop: uvicorn's own, and one for each request on the long way."""
        if counter % TICKS == 0:
            logger.info("tasks", extra={"tasks": len(asyncio.all_tasks())})
        return await super().on_tick(counter)


if __name__ == "__main__":
    program.Server = TaskCountServer
    program.main()
