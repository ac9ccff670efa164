"""The application: its routes, and the one object that lives as long as it does."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service import codec, cpu, errors
from service.auth import ApiKeys
from service.batcher import Batcher, batch_sizes
from service.images import PictureReader
from service.inputs import Inputs, read_body, read_options
from service.metrics import Metrics
from service.middleware import Edge
from service.model import configure_torch, load_model
from service.openapi import describe
from service.openinference import open_inference_routes
from service.page import page_routes
from service.peers import Peers
from service.reload import Reloader
from service.settings import Settings
from service.turnstile import Turnstile

logger = logging.getLogger(__name__)

TELL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that serves, made in the lifespan and kept on ``app.state.service``."""

    settings: Settings
    edge: Edge
    batcher: Batcher
    decoder: codec.Decoder
    inputs: Inputs
    peers: Peers
    guarded: bool  # whether a request must show who sends it before it is let in
    turnstile: Turnstile = field(default_factory=Turnstile)

    @property
    def healthy(self) -> bool:
        """Whether every worker gets on, and nobody has told this one to end."""
        silence = self.settings.stall_timeout_seconds + 2 * TELL_SECONDS
        return not (self.edge.draining or self.is_stuck() or self.peers.any_stuck(silence))

    def is_stuck(self) -> bool:
        """Whether the model's thread has died, or is too long at one batch."""
        batcher = self.batcher
        return not batcher.alive or batcher.busy_seconds >= self.settings.stall_timeout_seconds


class Application(Starlette):
    """Starlette's routing and lifespan, under one layer of our own instead of its three."""

    def __init__(self, settings: Settings, peers: Peers) -> None:
        self._edge = Edge(
            metrics=Metrics(), replica=socket.gethostname(), access_log_sample=settings.access_log_sample
        )
        guard = ApiKeys(Path(settings.api_keys_file)).guard if settings.api_keys_file else _let_pass
        super().__init__(
            routes=[
                Route("/predict", guard(Predict()), methods=["POST"]),
                Route("/healthz", healthz),
                Route("/metrics", expose_metrics),
                Route("/openapi.json", describe_api),
                *open_inference_routes(guard),
                *page_routes(),
            ],
            lifespan=_lifespan(settings, self._edge, peers),
        )
        self.router.redirect_slashes = False

    def build_middleware_stack(self) -> ASGIApp:
        """Return what every request passes through."""
        self._edge.app = self.router
        return self._edge


def create_app(settings: Settings, peers: Peers | None = None) -> Application:
    """Build the application; no model is loaded and nothing started before its lifespan is entered.

    Without ``peers`` it has none, and answers for itself alone.

    Raises:
        InvalidSetting: the file of API keys can't be read.
    """
    return Application(settings, peers or Peers.alone())


def _let_pass(app: ASGIApp) -> ASGIApp:
    return app


def _lifespan(
    settings: Settings, edge: Edge, peers: Peers
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        metrics = edge.metrics
        configure_torch(cpu.plan(settings.cpu_limit, settings.workers, settings.num_threads).threads)
        model = load_model(
            settings.model_path,
            batch_sizes=batch_sizes(settings.max_batch_size),
            sha256=settings.model_sha256,
        )
        async with (
            Batcher(
                model,
                metrics,
                max_batch_size=settings.max_batch_size,
                max_queue_size=settings.max_queue_size,
                queue_timeout_seconds=settings.queue_timeout_seconds,
            ) as batcher,
            Reloader(model, batcher, metrics, peers, settings),
            PictureReader(
                max_pixels=settings.max_picture_pixels,
                max_waiting=settings.max_queue_size,
                timeout_seconds=settings.queue_timeout_seconds,
            ) as pictures,
        ):
            metrics.queue_depth.set_function(lambda: batcher.depth)
            metrics.model.info({"name": model.card.name, "version": model.card.version})
            decoder = codec.Decoder()
            inputs = Inputs(
                batcher, decoder, pictures, settings.max_images_per_request, settings.max_queue_size
            )
            app.state.service = service = Service(
                settings, edge, batcher, decoder, inputs, peers, guarded=bool(settings.api_keys_file)
            )
            peers.join(metrics.registry, service.is_stuck)
            logger.info("serving %s %s from %s", model.card.name, model.card.version, settings.model_path)
            # PyTorch brings hundreds of thousands of objects that live as long as the process; a collection
            # that looked through them would hold every request up for a tenth of a second.
            gc.freeze()
            gc.enable()
            yield

    return lifespan


class Predict:
    """``POST /predict``: one image in, its prediction out; ``service.inputs`` has the rarer forms.

    A raw ASGI endpoint: building a Request and a Response for each call would cost more than the network.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service: Service = scope["app"].state.service
        content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        body = await read_body(receive, service.settings.max_body_bytes)
        service.batcher.check_room()
        options = read_options(scope["query_string"])
        try:
            if options.preview:
                raise codec.NotPlain
            image = service.decoder.decode(content_type, body)
        except codec.NotPlain:
            content = await service.inputs.answer(content_type, body, receive, preview=options.preview)
        else:
            content = codec.encode(await service.batcher.submit(image, abandoned=receive))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if options.close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def healthz(request: Request) -> Response:
    """``GET /healthz``: OK once the model has been loaded, checked and warmed up."""
    service: Service | None = getattr(request.app.state, "service", None)
    if service is None or not service.healthy:
        ending = service is not None and service.edge.draining
        return errors.problem(
            errors.ModelUnavailable("the service is shutting down" if ending else "the model is not running")
        )
    return PlainTextResponse("OK")


async def describe_api(request: Request) -> Response:
    """``GET /openapi.json``: all of this in OpenAPI 3.1."""
    service: Service = request.app.state.service
    document = describe(service.settings, service.batcher.model.card.name)
    return Response(orjson.dumps(document), media_type="application/json")


async def expose_metrics(request: Request) -> Response:
    """``GET /metrics``: what all workers have counted, in the Prometheus text format."""
    service: Service = request.app.state.service
    await service.peers.gather()
    return Response(generate_latest(service.peers.registry), media_type=CONTENT_TYPE_LATEST)
