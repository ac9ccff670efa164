"""Log lines on stdout: JSON for machines, plain text on a terminal."""

from __future__ import annotations

import logging.config
import sys


def configure_logging(*, level: str, log_format: str) -> None:
    """Send every logger's lines to stdout, from this level on.

    ``log_format`` is json, text, or auto: text on a terminal, JSON elsewhere.
    """
    json = log_format == "json" or (log_format == "auto" and not sys.stdout.isatty())
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
                "json": {
                    "()": "pythonjsonlogger.orjson.OrjsonFormatter",
                    "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
                    "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
                },
            },
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "json" if json else "text",
                }
            },
            # It has a line for every change in the folder of the weights, whatever became of it.
            "loggers": {"watchfiles": {"level": "WARNING"}},
            "root": {"level": level.upper(), "handlers": ["stdout"]},
        }
    )
