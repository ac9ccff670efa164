"""The OpenAPI 3.1 description of every endpoint, with the limits that this process runs with.

The tests run each of its examples, and let schemathesis search for answers that it does not describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service import __version__, errors
from service.api import examples, schemas
from service.api.schemas import ref
from service.errors import ServiceError
from service.inference.card import Card
from service.inputs import pictures
from service.inputs.preprocessing import DIGIT, LETTERBOX, RESIZE
from service.settings import Settings

Json = dict[str, Any]

PICTURES = [media_type.decode() for media_type in pictures.MEDIA_TYPES]

PREPARED = {
    DIGIT: "A picture is turned, cut out, scaled and centred the way MNIST was made, whichever of paper and "
    "ink is darker.",
    RESIZE: "A picture is resized, and its middle cut out.",
    LETTERBOX: "A picture is shrunk to fit, with its aspect kept.",
}

DESCRIPTION = """\
Says which of its classes an image belongs to.

Every answer says which replica gave it (`X-Served-By`) and under which id the logs know the request
(`X-Request-ID`; send your own and it is kept, as is a `traceparent`). What can't be answered gets a
problem (RFC 9457): what was found, where, and what was expected.
"""


def describe(settings: Settings, card: Card) -> Json:
    """Return the document, as JSON objects, for a service with these settings and this model."""
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
            "/predict": {"post": _predict(settings, card) | {"security": security}},
            "/healthz": {"get": _get("healthz", "operations", "Is the service healthy?", _TEXT, *_NOT_READY)},
            "/metrics": {"get": _get("metrics", "operations", "Figures for Prometheus.", _TEXT)},
            "/openapi.json": {
                "get": _get("openapi", "operations", "This document.", _json({"type": "object"}))
            },
            **_open_inference(card, security),
        },
        "components": {
            "schemas": schemas.schemas(card, settings.max_images_per_request),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _predict(settings: Settings, card: Card) -> Json:
    size, is_digit = card.shape.size, card.pictures.method == DIGIT
    picture = {"schema": {"contentMediaType": "image/*"}}
    sample = {"seven": {"summary": "A picture of a seven", "externalValue": "static/seven.png"}}
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": f"What {card.target} is this?",
        "description": (
            f"Send pixels as JSON or as bytes ({size} uint8 in 0..255, or {size} little-endian float32 in "
            f"0..1), up to {settings.max_images_per_request} images at once, or one picture. "
            f"{PREPARED[card.pictures.method]} A body has at most {settings.max_body_bytes} bytes, a picture "
            f"at most {settings.max_picture_pixels} pixels; as a JPEG 16 times as many (4 if progressive)."
        ),
        "parameters": [
            _option("preview", f"Send back the {card.shape} pixels that the model saw, as `image`."),
            {
                "name": "top",
                "in": "query",
                "description": "Send so many of the likeliest classes, as `top`, and not all probabilities.",
                "schema": {"type": "integer", "minimum": 1},
            },
            _option("close", "Close the connection, so that the next request may reach another replica."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("PredictRequest"), "examples": examples.requests(card)},
                **_BINARY,
                **{media_type: dict(picture) for media_type in PICTURES},
                **({"image/png": {**picture, "examples": sample}} if is_digit else {}),
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
                        "examples": examples.responses(card),
                    }
                },
            },
            **_problems(*_READING, *_PREDICTING, *_PICTURES, errors.InvalidOption),
        },
    }


def _open_inference(card: Card, security: list[Json]) -> Json:
    """Describe the protocol's paths; the name of the model is the only one that there is."""
    paths: Json = {
        "/v2": {"get": _get("server", _OIP, "Who serves?", _json(ref("ServerMetadata")))},
        "/v2/health/live": {"get": _get("live", _OIP, "Does it live?", _json(ref("Live")))},
        "/v2/health/ready": {
            "get": _get("ready", _OIP, "Does it predict?", _json(ref("Ready")), *_NOT_READY)
        },
    }
    paths["/v2/models/stats"] = {
        "get": _get("stats", _OIP, "How much has been computed?", _json(ref("ModelStats")))
    }
    index = _get("repositoryIndex", _OIP, "Which models are there?", _json(ref("RepositoryIndex")))
    index["requestBody"] = {"content": _json(ref("RepositoryIndexRequest"))}
    index["responses"] |= _problems(*_READING) | _errors(errors.InvalidBody, errors.BodyTooLarge)
    paths["/v2/repository/index"] = {"post": index}
    name, version = _in_path("name") | {"example": card.name}, _in_path("version")
    for suffix, path, parameters in (
        ("", "/v2/models/{name}", [name]),
        ("Version", "/v2/models/{name}/versions/{version}", [name, version]),
    ):
        takes, predicts = "What does the model take and give?", "Does this model predict?"
        metadata = _get(f"model{suffix}", _OIP, takes, _json(ref("ModelMetadata")), *_UNKNOWN)
        ready = _get(f"modelReady{suffix}", _OIP, predicts, _json(ref("ModelReady")), *_UNKNOWN, *_NOT_READY)
        infer = {
            "operationId": f"infer{suffix}",
            "tags": [_OIP],
            "summary": "What are these?",
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
                    "application/json": {
                        "schema": ref("InferRequest"),
                        "examples": examples.inferences(card),
                    },
                    **_BINARY,
                },
            },
            "responses": {
                "200": {
                    "description": "The outputs that were asked for, or all.",
                    "headers": _HEADERS,
                    "content": _json(ref("InferResponse")) | _BINARY,
                },
                **_problems(*_READING),  # given before it is known what the request is for
                **_errors(*_PREDICTING, *_UNKNOWN),
            },
        }
        config = _get(
            f"modelConfig{suffix}", _OIP, "How is it configured?", _json(ref("ModelConfig")), *_UNKNOWN
        )
        stats = _get(
            f"modelStats{suffix}", _OIP, "How much has it computed?", _json(ref("ModelStats")), *_UNKNOWN
        )
        paths[path] = {"parameters": parameters, "get": metadata}
        paths[f"{path}/config"] = {"parameters": parameters, "get": config}
        paths[f"{path}/stats"] = {"parameters": parameters, "get": stats}
        paths[f"{path}/ready"] = {"parameters": parameters, "get": ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


_OIP = "open inference protocol"
_HEADERS = {
    "X-Request-ID": {"description": "The id of this request in the logs.", "schema": {"type": "string"}},
    "X-Served-By": {"description": "The replica that answered.", "schema": {"type": "string"}},
}
_BINARY = {"application/octet-stream": {"schema": {"contentMediaType": "application/octet-stream"}}}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_NOT_READY, _UNKNOWN = (errors.ModelUnavailable,), (errors.UnknownModel,)
# What any request with a body can meet before its route is known, and what a prediction can meet.
_READING = (errors.RequestTimeout, errors.HeadersTooLarge)
_PREDICTING = (
    errors.InvalidBody,
    errors.Unauthorized,
    errors.BodyTooLarge,
    errors.TooManyImages,
    errors.UnsupportedMediaType,
    errors.UnsupportedEncoding,
    errors.InvalidImage,
    errors.QueueFull,
    errors.ModelUnavailable,
    errors.QueueTimeout,
)
_PICTURES = (errors.PictureTooLarge, errors.BlankPicture, errors.OutOfMemory)


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _option(name: str, description: str) -> Json:
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _get(operation: str, tag: str, summary: str, content: Json, *failures: type[ServiceError]) -> Json:
    responses = {
        "200": {
            "description": "Yes." if errors.ModelUnavailable in failures else "Here it is.",
            "headers": _HEADERS,
            "content": content,
        }
    }
    refusals = _errors(*failures) if tag == _OIP else _problems(*failures)
    return {"operationId": operation, "tags": [tag], "summary": summary, "responses": responses | refusals}


def _problems(*failures: type[ServiceError]) -> Json:
    return _refusals(failures, {"application/problem+json": {"schema": ref("Problem")}})


def _errors(*failures: type[ServiceError]) -> Json:
    return _refusals(failures, _json(ref("Error")))


def _refusals(failures: Sequence[type[ServiceError]], content: Json) -> Json:
    """Return a response for each status that one of these errors has."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for failure in failures:
        by_status.setdefault(failure.status, []).append(failure)
    return {str(int(status)): _refusal(group, content) for status, group in sorted(by_status.items())}


def _refusal(group: Sequence[type[ServiceError]], content: Json) -> Json:
    headers = dict(_HEADERS)
    if any(failure.retry_after_seconds is not None for failure in group):
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    if any("www-authenticate" in failure.headers for failure in group):
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    description = ". ".join(failure.title for failure in group) + "."
    return {"description": description, "headers": headers, "content": content}
