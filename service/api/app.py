"""The application: its routes, and the one object that lives as long as it does."""

from __future__ import annotations

import gc
import logging
import platform
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import torch
from starlette.applications import Starlette
from starlette.routing import Route

from service import __version__, cpu
from service.api import operations, predict
from service.api.auth import ApiKeys
from service.api.middleware import RequestMiddleware
from service.api.open_inference import open_inference_routes
from service.api.rehearsal import rehearse
from service.api.request_context import RequestTracker
from service.api.state import Service
from service.api.torchserve import torchserve_routes
from service.api.triton import triton_routes
from service.api.ui import ui_routes
from service.inference.batcher import Batcher
from service.inference.load_thread import LoadThread
from service.inference.loading import load_served_model
from service.inference.reloader import Reloader
from service.inference.torchscript import configure_torch
from service.inference.traced_batcher import TracedBatcher
from service.inputs.decoding import Decoder
from service.logs import dropped_lines
from service.metrics import Metrics
from service.settings import Settings
from service.tracing import open_tracing

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> Starlette:
    """Build the application; no model is loaded and nothing started before its lifespan is entered.

    Raises:
        InvalidSetting: the file of API keys can't be read.
    """
    keys = ApiKeys(Path(settings.api_keys_file)) if settings.api_keys_file else None
    metrics = Metrics(dropped_lines)
    metrics.built_from(version=__version__, python=platform.python_version(), torch=torch.__version__)
    tracker = RequestTracker(
        metrics=metrics,
        replica=socket.gethostname(),
        access_log_sample=settings.access_log_sample,
    )
    app = Starlette(
        routes=[
            Route(predict.PATH, predict.Predict(), methods=["POST"]),
            Route("/healthz", operations.healthz),
            Route("/metrics", operations.MetricsEndpoint(), methods=["GET"]),
            Route("/openapi.json", operations.OpenAPIEndpoint(), methods=["GET"]),
            *triton_routes(),
            *open_inference_routes(),
            *ui_routes(),
            *torchserve_routes(),
        ],
        lifespan=_lifespan(settings, tracker, keys),
    )
    app.router.redirect_slashes = False
    # In place of Starlette's own stack of three: on the way to a prediction every layer counts.
    app.middleware_stack = RequestMiddleware(app.router, tracker)
    return app


def _lifespan(
    settings: Settings, tracker: RequestTracker, keys: ApiKeys | None
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        limit, _ = cpu.cpu_limit(settings.cpu_limit)
        configure_torch(settings.num_threads or cpu.plan_threads(limit))
        thread = LoadThread(settings.load_timeout_seconds)
        model = await thread.run(partial(load_served_model, settings))
        rehearse(model)
        async with (
            open_tracing(settings, version=__version__, replica=tracker.replica) as tracing,
            (partial(TracedBatcher, tracing=tracing) if tracing else Batcher)(
                model,
                tracker.metrics,
                max_queue_size=settings.max_queue_size,
                queue_timeout_seconds=settings.queue_timeout_seconds,
            ) as batcher,
            Reloader(model, batcher, tracker.metrics, settings, thread=thread, rehearse=rehearse),
            Decoder(
                max_waiting=settings.max_queue_size, timeout_seconds=settings.queue_timeout_seconds
            ) as decoder,
        ):
            tracker.metrics.queue_depth.set_function(lambda: batcher.depth)
            app.state.service = Service(settings, tracker, batcher, decoder, keys, tracing)
            logger.info("serving %s %s from %s", model.card.name, model.card.version, settings.model_path)
            del model  # it may be replaced, and is to go then
            # PyTorch brings some 200,000 objects that live as long as the process. A collection that
            # traversed them would hold every request up for 60 to 100 ms.
            gc.freeze()
            gc.enable()
            yield

    return lifespan
