"""Log lines on stdout: JSON for machines, plain text on a terminal."""

from __future__ import annotations

import logging.config
import sys

from service.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send every logger's lines to stdout, in the format and from the level that the settings ask for."""
    json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stdout.isatty())
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
            "root": {"level": settings.log_level.upper(), "handlers": ["stdout"]},
        }
    )
