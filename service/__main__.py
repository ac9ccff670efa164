"""``python -m service``: settings, logging, application, server."""

from __future__ import annotations

import gc

# Importing PyTorch makes little garbage and very many objects: looking through them again and again would be
# a tenth of the time to start. The lifespan enables it again.
gc.disable()

import argparse
import logging
import os
import signal
import socket
import sys
from functools import partial

import uvicorn

from service import cpu
from service.app import Application, create_app
from service.logs import configure_logging
from service.peers import Peers
from service.protocol import PredictProtocol
from service.server import Server
from service.settings import InvalidSetting, Settings, describe_settings
from service.workers import Workers

logger = logging.getLogger("service")


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
    # the process with. A drained server has done its job: let it return, and exit 0. A SIGHUP that comes
    # before there are weights asks for nothing that would not be done anyway.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    plan = cpu.plan(settings.cpu_limit, settings.workers, settings.num_threads)
    logger.info(
        "%d worker(s), each computing with %d thread(s) (%s)", plan.workers, plan.threads, plan.reason
    )
    with bind(settings) as listener:
        if plan.workers == 1:
            serve(settings, app, listener)
        else:
            sys.exit(Workers(plan.workers, listener, partial(work, settings)).run())


def work(settings: Settings, peers: Peers, listener: socket.socket) -> None:
    """Be one of several workers, with an application of its own."""
    serve(settings, create_app(settings, peers), listener)


def serve(settings: Settings, app: Application, listener: socket.socket) -> None:
    """Be one service, on a socket that others may share."""
    config = uvicorn.Config(
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
    Server(config).run(sockets=[listener])


def bind(settings: Settings) -> socket.socket:
    """Take the port, without listening yet: that is for the first worker that can serve."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        sys.exit(f"rust-ml-api: cannot listen on {settings.host} port {settings.port}: {error}")
    return listener


if __name__ == "__main__":
    main()
