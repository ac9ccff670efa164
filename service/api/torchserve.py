"""TorchServe's REST API, as far as one model in one process has it, for clients of its ``image_classifier``.

Pictures in, the five likeliest classes out, as https://docs.pytorch.org/serve/inference_api.html has it, and
what https://docs.pytorch.org/serve/management_api.html says of the model. What manages a server of many
models is refused in words.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.api import operations
from service.api.body import find_header, media_type_of
from service.api.forms import FORM, read_form_file
from service.api.predict import FEW_CLASSES, JSONBytes, read_admitted_file, submit
from service.api.state import Service, service_of
from service.errors import (
    InvalidBody,
    ModelUnavailable,
    ServiceError,
    UnknownModel,
    UnknownVersion,
    UnsupportedExtension,
    UnsupportedMethod,
)
from service.inference.card import MAX_NAME_LENGTH, Card
from service.inference.prediction import Prediction
from service.inputs import json_errors
from service.inputs.decoding import TakesLong
from service.inputs.image import Image, check_pixels
from service.inputs.picture_files import JPEG, PNG, WEBP
from service.tracing import step

PREDICTION_PATHS = ("/predictions/{name}", "/predictions/{name}/{version}")
MODEL_PATHS = ("/models/{name}", "/models/{name}/{version}")
FIELDS = ("data", "body")  # in which the vision handlers look for a picture
FORM_FIELDS = [field.encode() for field in FIELDS]
ALL = "all"  # in place of a version
ANY_METHOD = ["GET", "POST", "PUT", "DELETE"]
# Operations that are not offered, and what to do instead.
UNLOADED = "the model stays loaded as long as the service runs; its file may be replaced"
SCALED = "workers are not scaled by requests; scale the Deployment"
REFUSED = {
    ("/models", "POST"): "models are not registered by requests; start the service with MODEL_PATH",
    **{(path, "PUT"): SCALED for path in MODEL_PATHS},
    **{(path, "DELETE"): UNLOADED for path in MODEL_PATHS},
}
# The same for paths on which nothing is offered.
MISSING = {
    "/models/{name}/{version}/set-default": "there is one version of the model, that of its file",
    **{
        path.replace("predictions", "explanations"): "there are no explanations; compute them with Captum"
        for path in PREDICTION_PATHS
    },
}


def torchserve_routes() -> list[Route]:
    """Return the routes."""
    hidden = partial(Route, include_in_schema=False)
    description = operations.OpenAPIEndpoint()
    return [
        Route("/ping", ping),
        # `curl -T` sends a PUT.
        *(Route(path, Predictions(), methods=["POST", "PUT"]) for path in PREDICTION_PATHS),
        Route("/models", models),
        *(Route(path, model) for path in MODEL_PATHS),
        hidden("/api-description", description, methods=["GET"]),
        hidden("/", description, methods=["OPTIONS"]),
        *(
            hidden(path, _refusal(UnsupportedMethod, words), methods=[method])
            for (path, method), words in REFUSED.items()
        ),
        *(
            hidden(path, _refusal(UnsupportedExtension, words), methods=ANY_METHOD)
            for path, words in MISSING.items()
        ),
    ]


async def ping(request: Request) -> Response:
    """``GET /ping``: whether predictions are made."""
    healthy = _is_healthy(service_of(request.scope))
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"status": "Healthy" if healthy else "Unhealthy"}, status)


class Predictions:
    """``POST /predictions/{name}``: a picture in, ``{label: probability}`` out, the likeliest first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = service_of(scope)
        service.authorize(scope["headers"])
        _find_card(scope)
        body = await read_admitted_file(service, scope, receive)
        content_type = find_header(scope["headers"], b"content-type")
        with step("decode"):
            pixels = await service.decoder.run(partial(_read, service, content_type), body)
        answer = await submit(service, pixels, receive)
        with step("encode"):
            content = _likeliest(answer) if isinstance(answer, Prediction) else list(map(_likeliest, answer))
            response = JSONBytes(orjson.dumps(content))
        await response(scope, receive, send)


async def models(request: Request) -> Response:
    """``GET /models``: the one model."""
    service = service_of(request.scope)
    url = service.settings.model_path.name
    return JSONResponse({"models": [{"modelName": service.card.name, "modelUrl": url}]})


async def model(request: Request) -> Response:
    """``GET /models/{name}``: the model's version, its one worker, and how full the queue is."""
    card, service = _find_card(request.scope, ALL), service_of(request.scope)
    batcher, settings = service.batcher, service.settings
    return JSONResponse(
        [
            {
                "modelName": card.name,
                "modelVersion": card.version,
                "modelUrl": settings.model_path.name,
                "runtime": "python",
                "minWorkers": 1,
                "maxWorkers": 1,
                "batchSize": batcher.model.batch_sizes[-1],
                "maxBatchDelay": 0,
                "loadedAtStartup": True,
                "workers": [_worker(service)],
                "jobQueueStatus": {
                    "remainingCapacity": max(0, settings.max_queue_size - batcher.depth),
                    "pendingRequests": batcher.depth,
                },
            }
        ]
    )


def _worker(service: Service) -> dict[str, Any]:
    sample = service.tracker.metrics.registry.get_sample_value
    since = datetime.fromtimestamp(sample("process_start_time_seconds") or 0, UTC)
    return {
        "id": service.tracker.replica,
        "startTime": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": "READY" if _is_healthy(service) else "UNLOADING",
        "memoryUsage": int(sample("process_resident_memory_bytes") or 0),
        "pid": os.getpid(),
        "gpu": False,
        "gpuUsage": "N/A",
    }


def _find_card(scope: Scope, every_version: str | None = None) -> Card:
    """Return the card of the model that serves, if it is the one that the path names."""
    card: Card = service_of(scope).card
    name, version = scope["path_params"]["name"], scope["path_params"].get("version", card.version)
    if name != card.name:
        raise UnknownModel(f"Model not found: {name[:MAX_NAME_LENGTH]}")  # as TorchServe words it
    if version not in (card.version, every_version):
        raise UnknownVersion(f"Model version: {version[:MAX_NAME_LENGTH]} does not exist for model: {name}")
    return card


def _read(service: Service, content_type: bytes, body: bytes, /, *, quick: bool) -> Image:
    """Return the pixels of what TorchServe's vision handlers take.

    That is a picture, as it is, as the file of a form or in base64; in JSON, base64 or lists whose channels
    come first, or an object with one of these as ``data`` or ``body``. What ``/predict`` takes is read, too.
    Clients send all of it with any content type, so that the bytes decide.

    Raises:
        TakesLong: it was to be ``quick``, and is too large for that.
        InvalidBody, InvalidImage: they are nothing of that.
        ServiceError: what the readers raise.
    """
    if media_type_of(content_type) == FORM:
        body = read_form_file(content_type, body, FORM_FIELDS)
    if body[:64].lstrip()[:1] not in (b'"', b"[", b"{"):
        return service.read_picture(_as_file(body), quick=quick)
    if quick and len(body) > json_errors.SMALL_BYTES:
        raise TakesLong
    document = json_errors.parse(body, service.card.shape, service.max_images)
    name = "body"
    if isinstance(document, dict):
        found = [field for field in FIELDS if document.get(field)]
        if not found:
            return json_errors.read_document(document, service.card.shape)
        name = found[0]
        document = document[name]
    if isinstance(document, str):
        try:
            file = _from_base64(document.encode())
        except ValueError:
            raise InvalidBody(f"the {name} is a string, but no picture in base64") from None
        return service.read_picture(file, quick=quick)
    if not isinstance(document, list):
        raise InvalidBody(f"the {name} is neither a picture in base64 nor a list of numbers")
    return _read_lists(service, document, name)


def _as_file(body: bytes) -> bytes:
    """Return a picture's file that may be in base64."""
    if body.startswith((PNG, JPEG, WEBP)):
        return body
    try:
        return _from_base64(body)
    except ValueError:
        return body


def _from_base64(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()), validate=True)


def _read_lists(service: Service, lists: list[Any], name: str) -> Image:
    """Return the image in lists by channel, row and column: to the vision handlers they are a tensor."""
    sides: list[int] = []
    inner: Any = lists
    while isinstance(inner, list) and inner:
        sides.append(len(inner))
        inner = inner[0]
    tensor = {"datatype": "FP32", "shape": [1, *sides], "data": lists}
    images = service.tensors.read_input(tensor)
    check_pixels(json_errors.as_doubles(lists), where=name)  # as the client counts them
    return images.reshape(-1)


def _likeliest(prediction: Prediction) -> dict[str, float]:
    return {str(label): probability for label, probability in prediction.likeliest(FEW_CLASSES)}


def _is_healthy(service: Service) -> bool:
    try:
        service.check_health()
    except ModelUnavailable:
        return False
    return True


def _refusal(error: type[ServiceError], words: str) -> Callable[[Request], Awaitable[Response]]:
    async def refuse(_: Request) -> Response:
        raise error(words)

    return refuse
