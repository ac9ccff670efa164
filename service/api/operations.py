"""For probes, dashboards and tools: ``/healthz``, ``/metrics`` and ``/openapi.json``."""

from __future__ import annotations

import orjson
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from service.api.openapi import describe
from service.api.problems import problem
from service.api.state import service_of
from service.errors import ModelUnavailable


async def healthz(request: Request) -> Response:
    """``GET /healthz``: OK once the model has been loaded, checked and warmed up."""
    try:
        service_of(request.scope).check_health()
    except ModelUnavailable as error:
        return problem(error)  # not raised: a probe is no request that was rejected
    return PlainTextResponse("OK")


async def metrics(request: Request) -> Response:
    """``GET /metrics``: what this process has counted, in the Prometheus text format."""
    registry = service_of(request.scope).tracker.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def openapi(request: Request) -> Response:
    """``GET /openapi.json``: the whole API in OpenAPI 3.1."""
    service = service_of(request.scope)
    document = describe(service.settings, service.card)
    return Response(orjson.dumps(document), media_type="application/json")
