"""``python -m service``: settings, logging, application, server."""

from __future__ import annotations

import gc

# Importing PyTorch makes little garbage and very many objects: looking through them again and again would be
# a tenth of the time to start. The lifespan enables it again.
gc.disable()

import argparse
import os
import signal
import sys

import uvicorn

from service.app import create_app
from service.logs import configure_logging
from service.protocol import PredictProtocol
from service.server import Server
from service.settings import InvalidSetting, Settings, describe_settings


def main() -> None:
    """Serve until SIGTERM or SIGINT, then drain and exit 0."""
    argparse.ArgumentParser(
        prog="python -m service",
        description="Serve a TorchScript digit classifier over HTTP.",
        epilog=f"settings, from the environment:\n{describe_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = Settings.from_env(os.environ)
        app = create_app(settings)
    except InvalidSetting as error:
        sys.exit(f"rust-ml-api: {error}")
    configure_logging(settings)
    # After its drain uvicorn raises the signal that ended it once more, for the default handler to kill
    # the process with. A drained server has done its job: let it return, and exit 0.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: None)
    Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http=PredictProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=settings.shutdown_timeout_seconds,
        )
    ).run()


if __name__ == "__main__":
    main()
