"""The OpenAPI 3.1 description of every endpoint, with the limits that this process runs with.

The tests run each of its examples, and let schemathesis search for answers that it does not describe.
"""

from __future__ import annotations

from typing import Any

from service import __version__, errors
from service.api import examples, openapi_protocols, schemas
from service.api.body import max_body_bytes
from service.api.openapi_parts import (
    BINARY,
    HEADERS,
    NOT_READY,
    PICTURE,
    PICTURES,
    PREDICTING,
    READING,
    TEXT,
    get,
    json_content,
    option,
    problems,
)
from service.api.schemas import ref
from service.inference.card import Card
from service.inputs import pictures
from service.inputs.preprocessing import LETTERBOX, MNIST, RESIZE
from service.settings import Settings

Json = dict[str, Any]

PICTURE_TYPES = [media_type.decode() for media_type in pictures.MEDIA_TYPES]

PREPARED = {
    MNIST: "A picture is turned, cut out, scaled and centred the way MNIST was made, whichever of paper and "
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
            {
                "name": "torchserve",
                "description": "The inference and management API of TorchServe, for clients of its "
                "image_classifier.",
            },
        ],
        "paths": {
            "/predict": {"post": _predict(settings, card) | {"security": security}},
            "/healthz": {"get": get("healthz", "operations", "Health check", TEXT, *NOT_READY)},
            "/metrics": {"get": get("metrics", "operations", "Prometheus metrics", TEXT)},
            "/openapi.json": {
                "get": get("openapi", "operations", "OpenAPI description", json_content({"type": "object"}))
            },
            **openapi_protocols.open_inference(card, security),
            **openapi_protocols.torchserve(card, security),
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
    size, is_mnist = card.shape.size, card.pictures.method == MNIST
    # No externalValue: whoever saves this document has no such file beside it, and generators look for it.
    sample = {"seven": {"summary": "A picture of a seven", "x-file": "static/seven.png"}}
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": f"Predict the {card.target}",
        "description": (
            f"Send pixels as JSON or as bytes ({size} uint8 in 0..255, or {size} little-endian float32 in "
            f"0..1), up to {settings.max_images_per_request} images at once, or one picture. "
            f"{PREPARED[card.pictures.method]} A picture has at most {settings.max_picture_pixels} pixels, "
            f"as a JPEG 16 times as many (4 if progressive), and {settings.max_picture_bytes} bytes; any "
            f"other body has at most {max_body_bytes(settings, card.shape)} bytes."
        ),
        "parameters": [
            option("preview", f"Send back the {card.shape} pixels that the model saw, as `image`."),
            {
                "name": "top",
                "in": "query",
                "description": "Send so many of the likeliest classes, as `top`, and not all probabilities.",
                "schema": {"type": "integer", "minimum": 1},
            },
            option(
                "draft",
                "Leave the prediction out of `predictions_total` and of the histograms of confidence and "
                "pixels: it is of something unfinished, or asked for again.",
            ),
            option("explain", "Send the score by which outliers are told, too, if the model has one."),
            option("close", "Close the connection, so that the next request may reach another replica."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("PredictRequest"), "examples": examples.requests(card)},
                **BINARY,
                **{media_type: dict(PICTURE) for media_type in PICTURE_TYPES},
                **({"image/png": {**PICTURE, "examples": sample}} if is_mnist else {}),
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": PICTURE["schema"]},
                    },
                    "encoding": {"image": {"contentType": ", ".join(PICTURE_TYPES)}},
                },
            },
        },
        "responses": {
            "200": {
                "description": "The prediction, or one for each image.",
                "headers": HEADERS,
                "content": {
                    "application/json": {
                        "schema": {"anyOf": [ref("Prediction"), ref("Predictions")]},
                        "examples": examples.responses(card),
                    }
                },
            },
            **problems(*READING, *PREDICTING, *PICTURES, errors.InvalidOption),
        },
    }
