"""The paths of other servers' protocols, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from service import errors
from service.api import examples
from service.api.openapi_parts import (
    BINARY,
    HEADERS,
    NOT_READY,
    OPEN_INFERENCE,
    PICTURE,
    PICTURES,
    PREDICTING,
    READING,
    TORCHSERVE,
    UNKNOWN,
    errors_of,
    get,
    in_path,
    json_of,
    problems,
)
from service.api.schemas import ref
from service.inference.card import Card

Json = dict[str, Any]


def open_inference(card: Card, security: list[Json]) -> Json:
    """Describe the protocol's paths; the name of the model is the only one that there is."""
    paths: Json = {
        "/v2": {"get": get("server", OPEN_INFERENCE, "Server metadata", json_of("ServerMetadata"))},
        "/v2/health/live": {"get": get("live", OPEN_INFERENCE, "Server liveness", json_of("Live"))},
        "/v2/health/ready": {
            "get": get("ready", OPEN_INFERENCE, "Server readiness", json_of("Ready"), *NOT_READY)
        },
    }
    paths["/v2/models/stats"] = {
        "get": get("stats", OPEN_INFERENCE, "Statistics of the model", json_of("ModelStats"))
    }
    index = get("repositoryIndex", OPEN_INFERENCE, "List the models", json_of("RepositoryIndex"))
    index["requestBody"] = {"content": json_of("RepositoryIndexRequest")}
    index["responses"] |= problems(*READING) | errors_of(
        OPEN_INFERENCE, errors.InvalidBody, errors.BodyTooLarge
    )
    paths["/v2/repository/index"] = {"post": index}
    name, version = in_path("name") | {"example": card.name}, in_path("version")
    for suffix, path, parameters in (
        ("", "/v2/models/{name}", [name]),
        ("Version", "/v2/models/{name}/versions/{version}", [name, version]),
    ):
        takes, predicts = "Model metadata", "Model readiness"
        metadata = get(f"model{suffix}", OPEN_INFERENCE, takes, json_of("ModelMetadata"), *UNKNOWN)
        ready = get(
            f"modelReady{suffix}",
            OPEN_INFERENCE,
            predicts,
            json_of("ModelReady"),
            *UNKNOWN,
            *NOT_READY,
        )
        infer = {
            "operationId": f"infer{suffix}",
            "tags": [OPEN_INFERENCE],
            "summary": "Infer",
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
                    **BINARY,
                },
            },
            "responses": {
                "200": {
                    "description": "The outputs that were asked for, or all.",
                    "headers": HEADERS,
                    "content": json_of("InferResponse") | BINARY,
                },
                **problems(*READING),  # given before it is known what the request is for
                **errors_of(OPEN_INFERENCE, *PREDICTING, *UNKNOWN),
            },
        }
        config = get(
            f"modelConfig{suffix}",
            OPEN_INFERENCE,
            "Model configuration",
            json_of("ModelConfig"),
            *UNKNOWN,
        )
        stats = get(
            f"modelStats{suffix}",
            OPEN_INFERENCE,
            "Model statistics",
            json_of("ModelStats"),
            *UNKNOWN,
        )
        paths[path] = {"parameters": parameters, "get": metadata}
        paths[f"{path}/config"] = {"parameters": parameters, "get": config}
        paths[f"{path}/stats"] = {"parameters": parameters, "get": stats}
        paths[f"{path}/ready"] = {"parameters": parameters, "get": ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


def torchserve(card: Card, security: list[Json]) -> Json:
    """Describe the paths that clients of TorchServe know."""
    name, version = in_path("name") | {"example": card.name}, in_path("version")
    ping = get("ping", TORCHSERVE, "Health check", json_of("Ping"), *NOT_READY)
    ping["responses"]["503"]["content"] = json_of("Ping")
    listed = get("torchserveModels", TORCHSERVE, "List the models", json_of("ServedModels"))
    paths: Json = {"/ping": {"get": ping}, "/models": {"get": listed}}
    for suffix, path, parameters, unknown in (
        ("", "/{name}", [name], UNKNOWN),
        ("Version", "/{name}/{version}", [name, version], (*UNKNOWN, errors.UnknownVersion)),
    ):
        described = json_of("ServedModelDetails")
        about = get(f"torchserveModel{suffix}", TORCHSERVE, "Describe the model", described, *unknown)
        predictions = {
            "operationId": f"torchservePredictions{suffix}",
            "tags": [TORCHSERVE],
            "summary": f"Predict the {card.target}",
            "description": "Send a picture, as it is, as the file of a form, or in base64; the bytes decide, "
            "not the content type.",
            "security": security,
            "requestBody": {
                "required": True,
                "content": {
                    "image/*": PICTURE,
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["data"],
                            "properties": {"data": PICTURE["schema"]},
                        }
                    },
                    **json_of("PredictionsRequest"),
                },
            },
            "responses": {
                "200": {
                    "description": "The likeliest classes and their probabilities.",
                    "headers": HEADERS,
                    "content": json_of("Likeliest"),
                },
                **problems(*READING),
                **errors_of(TORCHSERVE, *PREDICTING, *PICTURES, *unknown),
            },
        }
        paths[f"/models{path}"] = {"parameters": parameters, "get": about}
        by_put = predictions | {"operationId": f"torchservePut{suffix}"}
        paths[f"/predictions{path}"] = {"parameters": parameters, "post": predictions, "put": by_put}
    return paths
