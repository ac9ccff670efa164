"""The OpenAPI 3.1 description of every endpoint, with the limits that this process runs with.

The tests hold it to its word: they run each of its examples, and let schemathesis look for a disagreement.
"""

from __future__ import annotations

from typing import Any

from service import __version__, schemas
from service.images import MEDIA_TYPES as PICTURES
from service.schemas import ref
from service.settings import Settings

Json = dict[str, Any]

DESCRIPTION = """\
Reads a handwritten digit in an image of 28 x 28 pixels.

Every answer says which replica gave it (`X-Served-By`) and under which id the logs know the request
(`X-Request-ID`; send your own and it is kept, as is a `traceparent`). What can't be answered is told as a
problem (RFC 9457): what was found, where, and what was expected.
"""


def describe(settings: Settings, model_name: str) -> Json:
    """Return the document, as JSON objects, for a service with these settings and a model of this name."""
    guarded = bool(settings.api_keys_file)
    security: list[Json] = [{"bearer": []}, {"apiKey": []}] if guarded else []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rust-ml-api",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./"}],
        "tags": [
            {"name": "predictions", "description": "One endpoint for everything."},
            {"name": "operations", "description": "For probes, dashboards and tools."},
            {
                "name": "open inference protocol",
                "description": "Version 2 of the REST protocol of KServe, Triton and MLServer, so that their "
                "clients work here, too; with Triton's extension for binary tensors.",
            },
        ],
        "paths": {
            "/predict": {"post": _predict(settings) | {"security": security}},
            "/healthz": {"get": _get("healthz", "operations", "Is the service healthy?", _TEXT, 503)},
            "/metrics": {"get": _get("metrics", "operations", "Figures for Prometheus.", _TEXT)},
            "/openapi.json": {
                "get": _get("openapi", "operations", "This document.", _json({"type": "object"}))
            },
            **_open_inference(model_name, security),
        },
        "components": {
            "schemas": schemas.schemas(settings.max_images_per_request),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _predict(settings: Settings) -> Json:
    picture = {"schema": {"contentMediaType": "image/*"}}
    sample = {"seven": {"summary": "A picture of a seven", "externalValue": "static/seven.png"}}
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": "What digit is this?",
        "description": (
            "Send pixels as JSON or as bytes (784 uint8 in 0..255, or 784 little-endian float32 in 0..1), up "
            f"to {settings.max_images_per_request} images at once, or one picture of any size. It is "
            "turned, cut out, scaled and centred the way MNIST was made, whichever of paper and ink is "
            f"darker. A body has at most {settings.max_body_bytes} bytes, a picture at most "
            f"{settings.max_picture_pixels} pixels."
        ),
        "parameters": [
            _option("preview", "Send back the 28 x 28 pixels that the model saw, as `image`."),
            _option("close", "Close the connection, so that the next request may reach another replica."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("PredictRequest"), "examples": schemas.REQUEST_EXAMPLES},
                "application/octet-stream": {"schema": {"contentMediaType": "application/octet-stream"}},
                **{media_type: dict(picture) for media_type in PICTURES},
                "image/png": {**picture, "examples": sample},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": {"type": "string", "contentMediaType": "image/*"}},
                    },
                    "encoding": {"image": {"contentType": ", ".join(PICTURES)}},
                },
            },
        },
        "responses": {
            "200": {
                "description": "The prediction, or one for each image.",
                "headers": _HEADERS,
                "content": {
                    "application/json": {
                        "schema": {"anyOf": [ref("Prediction"), ref("Predictions")]},
                        "examples": schemas.RESPONSE_EXAMPLES,
                    }
                },
            },
            **_problems(400, 401, 408, 413, 415, 422, 431, 503, 504),
        },
    }


def _open_inference(model_name: str, security: list[Json]) -> Json:
    """Describe the protocol's paths; the name of the model is the only one that there is."""
    paths: Json = {
        "/v2": {"get": _get("server", _OIP, "Who serves?", _json(ref("ServerMetadata")))},
        "/v2/health/live": {"get": _get("live", _OIP, "Does it live?", _json(ref("Live")))},
        "/v2/health/ready": {"get": _get("ready", _OIP, "Does it predict?", _json(ref("Ready")), 503)},
    }
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "example": model_name,
    }
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    for suffix, path, parameters in (
        ("", "/v2/models/{name}", [name]),
        ("Version", "/v2/models/{name}/versions/{version}", [name, version]),
    ):
        metadata = _get(
            f"model{suffix}", _OIP, "What does the model take and give?", _json(ref("ModelMetadata")), 404
        )
        ready = _get(
            f"modelReady{suffix}", _OIP, "Does this model predict?", _json(ref("ModelReady")), 404, 503
        )
        infer = {
            "operationId": f"infer{suffix}",
            "tags": [_OIP],
            "summary": "What digits are these?",
            "security": security,
            "parameters": [
                {
                    "name": "Inference-Header-Content-Length",
                    "in": "header",
                    "description": "Where the JSON ends and binary data begins, in bytes.",
                    "schema": {"type": "integer", "minimum": 0},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": ref("InferRequest"), "examples": schemas.INFER_EXAMPLES},
                    "application/octet-stream": {"schema": {"contentMediaType": "application/octet-stream"}},
                },
            },
            "responses": {
                "200": {
                    "description": "The outputs that were asked for, or all.",
                    "headers": _HEADERS,
                    "content": {
                        "application/json": {"schema": ref("InferResponse")},
                        "application/octet-stream": {
                            "schema": {"contentMediaType": "application/octet-stream"}
                        },
                    },
                },
                **_errors(400, 401, 404, 413, 415, 422, 503, 504),
                **_problems(408, 431),  # given before it is known what the request is for
            },
        }
        paths[path] = {"parameters": parameters, "get": metadata}
        paths[f"{path}/ready"] = {"parameters": parameters, "get": ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


_OIP = "open inference protocol"
_HEADERS = {
    "X-Request-ID": {"description": "The id of this request in the logs.", "schema": {"type": "string"}},
    "X-Served-By": {"description": "The replica that answered.", "schema": {"type": "string"}},
}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_REASONS = {
    400: "The body is not what its content type promises.",
    401: "No API key was sent, or none that is known.",
    404: "There is no such model, or no such version of it.",
    408: "The headers or the body did not arrive in time.",
    413: "The body, the picture or the number of images is over the limit.",
    415: "This content type is not taken.",
    422: "The body can be read, but has no image that the model takes.",
    431: "The headers are over the limit.",
    503: "The service is at capacity, or has no model that runs.",
    504: "The model did not come round to it in time.",
}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _option(name: str, description: str) -> Json:
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _get(operation: str, tag: str, summary: str, content: Json, *failures: int) -> Json:
    responses = {
        "200": {
            "description": "Yes." if 503 in failures else "Here it is.",
            "headers": _HEADERS,
            "content": content,
        }
    }
    refusals = _errors(*failures) if tag == _OIP else _problems(*failures)
    return {"operationId": operation, "tags": [tag], "summary": summary, "responses": responses | refusals}


def _problems(*statuses: int) -> Json:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {str(status): _refusal(status, content) for status in statuses}


def _errors(*statuses: int) -> Json:
    return {str(status): _refusal(status, _json(ref("Error"))) for status in statuses}


def _refusal(status: int, content: Json) -> Json:
    headers = dict(_HEADERS)
    if status == 503:
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    return {"description": _REASONS[status], "headers": headers, "content": content}
