"""The Open Inference Protocol, version 2: the REST paths that KServe, Triton and MLServer share.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol describes it;
``service.api.tensors`` reads and writes its messages.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service import __version__
from service.api.predict import read_admitted_numbers, submit_many
from service.api.state import service_of
from service.api.tensors import HEADER_LENGTH, INPUT_NAME, Tensors
from service.errors import UnknownModel
from service.inference.card import Card
from service.tracing import step

MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
INFER_PATHS = tuple(f"{path}/infer" for path in MODEL_PATHS)
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository(index)", "statistics"]


def open_inference_routes() -> list[Route]:
    """Return the protocol's routes."""
    routes = [
        Route("/v2", server_metadata),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
    ]
    infer = Infer()
    for model, infer_path in zip(MODEL_PATHS, INFER_PATHS, strict=True):
        routes += [
            Route(model, model_metadata),
            Route(f"{model}/ready", model_ready),
            Route(infer_path, infer, methods=["POST"]),
        ]
    return routes


async def server_metadata(_: Request) -> Response:
    """``GET /v2``: the server's name and version, and the extensions of the protocol that it supports."""
    return JSONResponse({"name": "rust-ml-api", "version": __version__, "extensions": EXTENSIONS})


async def live(_: Request) -> Response:
    """``GET /v2/health/live``: the process answers."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """``GET /v2/health/ready``: predictions are made; 503 otherwise."""
    service_of(request.scope).check_health()
    return JSONResponse({"ready": True})


async def model_metadata(request: Request) -> Response:
    """``GET /v2/models/{name}``: the model's version, and what it takes and gives."""
    card = find_card(request.scope)
    return JSONResponse(describe(card, service_of(request.scope).tensors))


def describe(card: Card, tensors: Tensors) -> dict[str, Any]:
    """Return the metadata of a model."""
    return {
        "name": card.name,
        "versions": [card.version],
        "platform": "pytorch_torchscript",
        "inputs": [tensors.input],
        "outputs": [output.metadata for output in tensors.outputs.values()],
    }


async def model_ready(request: Request) -> Response:
    """``GET /v2/models/{name}/ready``: predictions are made by this model; 503 otherwise."""
    card = find_card(request.scope)
    service_of(request.scope).check_health()
    return JSONResponse({"name": card.name, "ready": True})


class Infer:
    """``POST /v2/models/{name}/infer``: a batch of images in, their predictions out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = service_of(scope)
        service.authorize(scope["headers"])
        find_card(scope)
        body = await read_admitted_numbers(service, scope, receive)
        length = Headers(scope=scope).get(HEADER_LENGTH)
        with step("decode"):
            inference = await service.decode(
                lambda message: service.tensors.read_request(message, length), body
            )
        predictions = await submit_many(service, inference.images, INPUT_NAME, receive)
        with step("encode"):
            response = service.tensors.write_response(inference, predictions)
        await response(scope, receive, send)


def find_card(scope: Scope) -> Card:
    """Return the card of the model that serves, if it is the one that the path names."""
    card: Card = service_of(scope).batcher.model.card
    name, version = scope["path_params"]["name"], scope["path_params"].get("version", card.version)
    if name != card.name:
        raise UnknownModel(f"there is no model {name[:40]!r}; the one that is served is {card.name!r}")
    if version != card.version:
        raise UnknownModel(
            f"there is no version {version[:40]!r} of {name}; version {card.version} is served"
        )
    return card
