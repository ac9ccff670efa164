"""What Triton adds to the Open Inference Protocol, as far as one model in one process has it.

Its client asks for the model's configuration, the repository's index and statistics:
https://github.com/triton-inference-server/server/tree/main/docs/protocol. What manages a server of many
models is refused in words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api import predict
from service.api.body import read_body
from service.api.open_inference import INFER_PATHS, MODEL_PATHS, find_card
from service.api.state import Service, service_of
from service.api.torchserve import PREDICTION_PATHS
from service.errors import InvalidBody, ModelUnavailable, UnsupportedExtension
from service.inputs import json_errors

# Paths of extensions, and what to do instead of using them.
REFUSED = {
    "/v2/repository/models/{name}/load": "the model is loaded when its file changes; replace the file",
    "/v2/repository/models/{name}/unload": "the model stays loaded as long as the service runs",
    "/v2/trace/setting": "there is no trace extension; requests carry traceparent, and answers X-Request-ID",
    "/v2/models/{name}/trace/setting": "there is no trace extension; requests carry traceparent",
    "/v2/logging": "there is no logging extension; set LOG_LEVEL, LOG_FORMAT and ACCESS_LOG_SAMPLE",
    "/v2/systemsharedmemory/{rest:path}": "there is no shared memory extension; send data in the request",
    "/v2/cudasharedmemory/{rest:path}": "there is no shared memory extension; send data in the request",
    "/v2/models/{name}/generate": "there is no generate extension; use infer",
    "/v2/models/{name}/generate_stream": "there is no generate extension; use infer",
}
MAX_INDEX_BYTES = 4096


def triton_routes() -> list[Route]:
    """Return the routes of the extensions."""
    return [
        Route("/v2/models/stats", statistics),
        Route("/v2/repository/index", repository_index, methods=["POST"]),
        *(Route(f"{model}/config", model_config) for model in MODEL_PATHS),
        *(Route(f"{model}/stats", statistics) for model in MODEL_PATHS),
        *(
            Route(path, _refusal(words), methods=["GET", "POST"], include_in_schema=False)
            for path, words in REFUSED.items()
        ),
    ]


async def model_config(request: Request) -> Response:
    """``GET /v2/models/{name}/config``: the model in the words of Triton's ``config.pbtxt``."""
    card, service = find_card(request.scope), service_of(request.scope)
    return JSONResponse(
        {
            "name": card.name,
            "platform": "pytorch_libtorch",
            "backend": "pytorch",
            "max_batch_size": service.max_images,
            "input": [_configured(service.tensors.input)],
            "output": [_configured(output.metadata) for output in service.tensors.outputs.values()],
            "dynamic_batching": {},
        }
    )


async def repository_index(request: Request) -> Response:
    """``POST /v2/repository/index``: the one model, and whether it is ready."""
    service = service_of(request.scope)
    body = await read_body(request.receive, MAX_INDEX_BYTES)
    message = json_errors.parse(body, service.card.shape, max_images=0) if body.strip() else {}
    ready = message.get("ready") if isinstance(message, dict) else ""
    if not isinstance(ready, bool | None):
        raise InvalidBody('the body is not an object such as {"ready": true}')
    state, reason = _state(service)
    if ready and state != "READY":
        return JSONResponse([])
    card = service.batcher.model.card
    return JSONResponse([{"name": card.name, "version": card.version, "state": state, "reason": reason}])


async def statistics(request: Request) -> Response:
    """``GET /v2/models/stats``, also of a model: how much it has computed since the process started.

    What is counted for each image and batch counts ``/predict``, too. The time of requests is not counted
    apart for those that failed: all of it is in ``success``.
    """
    service = service_of(request.scope)
    card = find_card(request.scope) if "name" in request.path_params else service.batcher.model.card
    metrics = service.tracker.metrics
    succeeded, failed, seconds = metrics.answered((predict.PATH, *INFER_PATHS, *PREDICTION_PATHS))
    return JSONResponse(
        {
            "model_stats": [
                {
                    "name": card.name,
                    "version": card.version,
                    "last_inference": int(metrics.last_batch_at * 1000),
                    "inference_count": metrics.answered_images,
                    "execution_count": metrics.batches.count,
                    "inference_stats": {
                        "success": _duration(succeeded, seconds),
                        "fail": _duration(failed, 0),
                        "queue": _duration(metrics.waits.count, metrics.waits.sum),
                        "compute_input": _duration(0, 0),
                        "compute_infer": _duration(metrics.batches.count, metrics.batches.sum),
                        "compute_output": _duration(0, 0),
                    },
                    "batch_stats": [],
                }
            ]
        }
    )


def _refusal(words: str) -> Callable[[Request], Awaitable[Response]]:
    async def refuse(_: Request) -> Response:
        raise UnsupportedExtension(words)

    return refuse


def _state(service: Service) -> tuple[str, str]:
    try:
        service.check_health()
    except ModelUnavailable as error:
        return "UNAVAILABLE", error.detail
    return "READY", ""


def _configured(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a tensor's metadata as a configuration has it: without the batch, which is always there."""
    dims = metadata["shape"][1:]
    tensor = {"name": metadata["name"], "data_type": f"TYPE_{metadata['datatype']}", "dims": dims or [1]}
    return tensor if dims else tensor | {"reshape": {"shape": []}}


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}
