"""``python -m service``: settings, logging, application, server."""

from __future__ import annotations

import gc

# Importing PyTorch makes little garbage and very many objects: traversing them again and again would be a
# tenth of the time to start. The lifespan enables it again.
gc.disable()

import argparse
import logging
import os
import signal
import sys

from service.api.app import create_app
from service.logs import configure_logging
from service.memory import share_memory
from service.server.server import Server, bind
from service.settings import (
    InvalidSetting,
    Settings,
    describe_settings,
    misspelt_settings,
    removed_settings,
)

logger = logging.getLogger("service")


def main() -> None:
    """Serve until SIGTERM or SIGINT, then drain and exit 0."""
    argparse.ArgumentParser(
        prog="python -m service",
        description="Serve an image classifier over HTTP.",
        epilog=f"settings, from the environment:\n{describe_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    share_memory()
    try:
        settings = Settings.from_env(os.environ)
        app = create_app(settings)
        listener = bind(settings.host, settings.port)
    except (InvalidSetting, OSError) as error:
        sys.exit(f"rust-ml-api: {error}")
    log = configure_logging(level=settings.log_level, log_format=settings.log_format)
    for line in (*removed_settings(os.environ), *misspelt_settings(os.environ)):
        logger.warning(line)
    # After its drain uvicorn raises the signal that ended it once more, for the default handler to kill
    # the process with. A drained server has done its job: let it return, and exit 0. A SIGHUP that comes
    # before there are weights asks for nothing that would not be done anyway.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    status = 0
    try:
        Server(app, settings).run(sockets=[listener])
    except SystemExit as error:  # the start has failed
        status = error.code if isinstance(error.code, int) else 1
    log.flush()
    # The drain is over. What a thread still does, with a picture or a file or nobody's log, keeps nobody.
    os._exit(status)


if __name__ == "__main__":
    main()
