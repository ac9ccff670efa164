"""TorchServe's REST API, as far as one model in one process has it, for clients of its ``image_classifier``.

Pictures in, the five likeliest classes out, as https://docs.pytorch.org/serve/inference_api.html has it, and
what https://docs.pytorch.org/serve/management_api.html says of the model. What manages a server of many
models is refused in words.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.api.body import find_header, media_type_of
from service.api.forms import FORM, read_form_file
from service.api.open_inference import find_card
from service.api.predict import FEW_CLASSES, JSONBytes, read_admitted_file, submit
from service.api.state import Service, service_of
from service.errors import InvalidBody, ModelUnavailable, UnsupportedMethod
from service.inference.prediction import Prediction
from service.inputs.image import Image
from service.inputs.numbers import JSON

PREDICTION_PATHS = ("/predictions/{name}", "/predictions/{name}/{version}")
MODEL_PATHS = ("/models/{name}", "/models/{name}/{version}")
# Operations that are not offered, and what to do instead.
REFUSED = {
    ("/models", "POST"): "models are not registered by requests; start the service with MODEL_PATH",
    ("/models/{name}", "PUT"): "workers are not scaled by requests; scale the Deployment",
    ("/models/{name}", "DELETE"): "the model stays loaded as long as the service runs",
    ("/models/{name}/{version}", "PUT"): "workers are not scaled by requests; scale the Deployment",
    ("/models/{name}/{version}", "DELETE"): "the model stays loaded as long as the service runs",
    ("/models/{name}/{version}/set-default", "PUT"): "there is one version, which is served",
}


def torchserve_routes() -> list[Route]:
    """Return the routes."""
    return [
        Route("/ping", ping),
        # `curl -T` sends a PUT.
        *(Route(path, Predictions(), methods=["POST", "PUT"]) for path in PREDICTION_PATHS),
        Route("/models", models),
        *(Route(path, model) for path in MODEL_PATHS),
        *(
            Route(path, _refusal(words), methods=[method], include_in_schema=False)
            for (path, method), words in REFUSED.items()
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
        find_card(scope)
        body = await read_admitted_file(service, scope, receive)
        pixels = await _read(service, find_header(scope["headers"], b"content-type"), body)
        answer = await submit(service, pixels, receive)
        content = _likeliest(answer) if isinstance(answer, Prediction) else list(map(_likeliest, answer))
        await JSONBytes(orjson.dumps(content))(scope, receive, send)


async def models(request: Request) -> Response:
    """``GET /models``: the one model."""
    service = service_of(request.scope)
    url = service.settings.model_path.name
    return JSONResponse({"models": [{"modelName": service.card.name, "modelUrl": url}]})


async def model(request: Request) -> Response:
    """``GET /models/{name}``: the model's version, its one worker, and how full the queue is."""
    card, service = find_card(request.scope), service_of(request.scope)
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
                "workers": [
                    {
                        "id": service.tracker.replica,
                        "status": "READY" if _is_healthy(service) else "UNLOADING",
                        "gpu": False,
                        "pid": os.getpid(),
                    }
                ],
                "jobQueueStatus": {
                    "remainingCapacity": max(0, settings.max_queue_size - batcher.depth),
                    "pendingRequests": batcher.depth,
                },
            }
        ]
    )


async def _read(service: Service, content_type: bytes, body: bytes) -> Image:
    """Return the pixels of what TorchServe's vision handlers take.

    That is a picture, whatever the content type says of it, in a form, or as base64 in a JSON string; other
    JSON is what ``/predict`` takes.
    """
    media_type = media_type_of(content_type)
    if media_type == FORM:
        return await service.decoder.run(
            lambda form: service.read_picture(read_form_file(content_type, form)), body
        )
    if media_type != JSON:
        return await service.decoder.run(service.read_picture, body)
    if body.lstrip()[:1] != b'"':
        return await service.read_numbers(JSON, body)
    return await service.decoder.run(lambda text: service.read_picture(_from_base64(text)), body)


def _from_base64(body: bytes) -> bytes:
    try:
        return base64.b64decode(orjson.loads(body), validate=True)
    except (orjson.JSONDecodeError, binascii.Error, ValueError):
        raise InvalidBody("the body is a JSON string, but no picture in base64") from None


def _likeliest(prediction: Prediction) -> dict[str, float]:
    return {str(label): probability for label, probability in prediction.likeliest(FEW_CLASSES)}


def _is_healthy(service: Service) -> bool:
    try:
        service.check_health()
    except ModelUnavailable:
        return False
    return True


def _refusal(words: str) -> Callable[[Request], Awaitable[Response]]:
    async def refuse(_: Request) -> Response:
        raise UnsupportedMethod(words)

    return refuse
