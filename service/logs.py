"""Log lines on stdout: JSON for machines, plain text on a terminal; written by a thread of their own.

What reads stdout may stop reading. So the event loop puts lines into a bounded queue, a thread writes them,
and what finds the queue full is dropped and counted.
"""

from __future__ import annotations

import copy
import logging
import queue
import sys
import time
import warnings
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

MAX_WAITING_LINES = 1000
FLUSH_SECONDS = 1.0
FORCE_QUIT = " (CTRL+C to force quit)"  # uvicorn's words to a person at a terminal


class LogQueue(QueueHandler):
    """Puts log records into a bounded queue; ``dropped`` counts those that did not fit."""

    def __init__(self) -> None:
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING_LINES)
        super().__init__(self._lines)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a copy that does not change any more; the thread that writes formats its traceback."""
        record = copy.copy(record)
        record.msg, record.args = record.getMessage().removesuffix(FORCE_QUIT), None
        record.__dict__.pop("color_message", None)  # uvicorn's, for terminals
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record, or drop it."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Wait until what was queued is written, or for a second: nobody may read it."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)


def configure_logging(*, level: str, log_format: str) -> LogQueue:
    """Send every logger's lines to stdout, from this level on; return what they wait in.

    ``log_format`` is json, text, or auto: text on a terminal, JSON elsewhere.
    """
    json = log_format == "json" or (log_format == "auto" and not sys.stdout.isatty())
    writer = logging.StreamHandler(sys.stdout)
    writer.setFormatter(_JsonFormatter() if json else _TextFormatter())
    handler = LogQueue()
    # Python remembers each warning that it shows, for ever, and Pillow's are about what strangers send.
    warnings.filterwarnings("ignore", module="PIL")
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It has a line for every change in the folder of the weights, whatever became of it.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    QueueListener(handler.queue, writer).start()  # a daemon thread: it keeps no process from ending
    return handler


def dropped_lines() -> int:
    """Return how many lines were dropped because nobody read those before them."""
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, LogQueue))


class _Rfc3339(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _TextFormatter(_Rfc3339):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        fields = record.__dict__
        if "seconds" not in fields:
            return super().formatMessage(record)
        details = f" {1000 * fields['seconds']:.1f} ms {fields['request_id']} {fields.get('problem', '')}"
        return super().formatMessage(record) + details.rstrip()


class _JsonFormatter(_Rfc3339, OrjsonFormatter):
    def __init__(self, **_: Any) -> None:
        OrjsonFormatter.__init__(
            self,
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
