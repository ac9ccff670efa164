"""For probes, dashboards and tools: ``/healthz``, ``/metrics`` and ``/openapi.json``."""

from __future__ import annotations

import asyncio

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from service.api.openapi import describe
from service.api.problems import problem
from service.api.state import service_of
from service.errors import ModelUnavailable
from service.inference.card import Card


async def healthz(request: Request) -> Response:
    """``GET /healthz``: OK once the model has been loaded, checked and warmed up."""
    try:
        service_of(request.scope).check_health()
    except ModelUnavailable as error:
        return problem(error)  # not raised: a probe is no request that was rejected
    return PlainTextResponse("OK")


class MetricsEndpoint:
    """``GET /metrics``: what this process has counted, in the Prometheus text format.

    To write it takes as long as twenty predictions, so requests that wait at the same time get the same.
    """

    def __init__(self) -> None:
        self._next: asyncio.Task[bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._next is None:
            self._next = asyncio.create_task(self._write(service_of(scope).tracker.metrics.registry))
        text = await asyncio.shield(self._next)
        await Response(text, media_type=CONTENT_TYPE_LATEST)(scope, receive, send)

    async def _write(self, registry: CollectorRegistry) -> bytes:
        await asyncio.sleep(0)  # all requests that have been read by now are in
        self._next = None
        return generate_latest(registry)


class OpenAPIEndpoint:
    """``GET /openapi.json``: the whole API in OpenAPI 3.1, written once for each model."""

    def __init__(self) -> None:
        self._written: tuple[Card, bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = service_of(scope)
        if self._written is None or self._written[0] is not service.card:
            self._written = service.card, orjson.dumps(describe(service.settings, service.card))
        await Response(self._written[1], media_type="application/json")(scope, receive, send)
