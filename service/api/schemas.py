"""The JSON Schemas of what goes in and out, and examples of both, for the OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.api.tensors import DATATYPES, INPUT_NAME, Tensors
from service.inference.card import Card

Json = dict[str, Any]

MAX_LISTED = 100  # classes
OUTLIER: Json = {
    "outlier": {
        "type": "boolean",
        "description": "Whether the image is unlike those that the model was trained on.",
    },
    "outlier_score": {
        "type": "number",
        "description": "The free energy of its logits, if `explain` was asked for; outliers have more.",
    },
}


def ref(name: str) -> Json:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(card: Card, max_images: int) -> Json:
    """Return every schema by its name, for the model with this card."""
    pixel = {"type": "number", "minimum": 0, "maximum": 1}
    nested = pixel
    for side in reversed(card.shape.sides):
        nested = _list(nested, side)
    order = "by rows" if card.shape.channels == 1 else "by row, column and channel"
    whole = {"description": "What the model saw, if `preview` was asked for."}
    return {
        "Image": {
            "description": f"{card.shape} pixels {order}, flat or nested, each in 0..1.",
            "anyOf": [_list(pixel, card.shape.size), nested],
        },
        "OneImage": {**_open({"image": ref("Image")}, "image"), "not": {"required": ["images"]}},
        "ManyImages": {
            **_open({"images": _array(ref("Image"), minItems=1, maxItems=max_images)}, "images"),
            "not": {"required": ["image"]},
        },
        "PredictRequest": {"anyOf": [ref("OneImage"), ref("ManyImages")]},
        "Prediction": {
            "type": "object",
            "required": [card.target, "confidence", *(["outlier"] if card.tells_outliers else []), "model"],
            "properties": {
                card.target: _label(card),
                "confidence": {**pixel, "description": "The probability of this class."},
                "probabilities": {
                    **_list(pixel, len(card.classes)),
                    "description": "One for each class; their sum is 1.",
                },
                "top": _array(ref("ClassProbability")),
                **(OUTLIER if card.tells_outliers else {}),
                "model": ref("Model"),
                "image": {**_list(pixel, card.shape.size), **whole},
            },
            "additionalProperties": False,
        },
        "ClassProbability": _object({"label": _label(card), "probability": pixel}),
        "Model": _object({"name": {"type": "string"}, "version": {"type": "string"}}),
        "Predictions": _object({"predictions": _array(ref("Prediction"), minItems=1)}),
        "Problem": _object(
            {
                "type": {"type": "string", "description": "urn:problem-type:… or about:blank"},
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {"type": "string", "description": "What was found, where, and what to do."},
            },
            pointer={"type": "string", "description": "A JSON Pointer to the offending element."},
        ),
        **_open_inference(Tensors(card, max_images), max_images),
        **_torchserve(card),
    }


def _label(card: Card) -> Json:
    kind = "string" if isinstance(card.classes[0], str) else "integer"
    return {"type": kind, "enum": list(card.classes)} if len(card.classes) <= MAX_LISTED else {"type": kind}


def _open_inference(known: Tensors, max_images: int) -> Json:
    text, parameters = {"type": "string"}, {"type": "object"}
    size = {"type": "integer", "minimum": 1, "maximum": max_images}
    tensor = {"name": text, "datatype": text, "shape": _array({"type": "integer"})}
    tensors = _array(_object(tensor))
    asked = {
        "name": _only(INPUT_NAME),
        "datatype": _one_of(DATATYPES),
        # In words: generators make no types of lists whose places differ.
        "shape": {
            **_array({"type": "integer", "minimum": 1}, minItems=2, maxItems=4),
            "description": " or ".join(str(["N", *sides]).replace("'", "") for sides in known.shapes) + ".",
        },
        "data": {**_array({}), "description": "Flat or nested; or binary, behind the JSON."},
        "parameters": parameters,
    }
    wanted = {"name": _one_of(known.outputs), "parameters": parameters}
    given = _object(tensor, data=_array({"type": ["number", "string", "boolean"]}), parameters=parameters)
    request = {
        "id": text,
        "parameters": parameters,
        "inputs": _array(_open(asked, "name", "datatype", "shape"), minItems=1, maxItems=1),
        "outputs": _array(_open(wanted, "name")),
    }
    dims = _array({"type": "integer"})
    configured = _object({"name": text, "data_type": text, "dims": dims}, reshape=_object({"shape": dims}))
    count = {"type": "integer", "minimum": 0}
    duration = _object({"count": count, "ns": count})
    stages = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
    statistics = _object(
        {"name": text, "version": text, "last_inference": count, "inference_count": count}
        | {"execution_count": count, "inference_stats": _object(dict.fromkeys(stages, duration))}
        | {"batch_stats": _array(parameters)}
    )
    metadata = {"name": text, "versions": _array(text), "platform": text}
    return {
        "ServerMetadata": _object({"name": text, "version": text, "extensions": _array(text)}),
        "Live": _object({"live": _only(True)}),
        "Ready": _object({"ready": _only(True)}),
        "ModelReady": _object({"name": text, "ready": _only(True)}),
        "ModelMetadata": _object(metadata | {"inputs": tensors, "outputs": tensors}),
        "ModelConfig": _object(
            {"name": text, "platform": text, "backend": text, "max_batch_size": size}
            | {"input": _array(configured), "output": _array(configured), "dynamic_batching": parameters}
        ),
        "RepositoryIndex": _array(_object({"name": text, "version": text, "state": text, "reason": text})),
        "RepositoryIndexRequest": _open({"ready": {"type": ["boolean", "null"]}}),
        "ModelStats": _object({"model_stats": _array(statistics)}),
        "InferRequest": _open(request, "inputs"),
        "InferResponse": _object(
            {"model_name": text, "model_version": text, "outputs": _array(given)}, id=text
        ),
        "Error": _object({"error": text}),
    }


def _torchserve(card: Card) -> Json:
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    worker = _object(
        {"id": text, "startTime": {"type": "string", "format": "date-time"}, "status": text}
        | {"memoryUsage": count, "pid": count, "gpu": {"type": "boolean"}, "gpuUsage": text}
    )
    pixels: Json = {"type": "number", "minimum": 0, "maximum": 1}
    for side in (card.shape.width, card.shape.height, card.shape.channels):
        pixels = _list(pixels, side)
    data = [
        {"title": "A picture in base64", "type": "string", "contentEncoding": "base64"},
        {"title": "Pixels by channel, row and column", **pixels},
    ]
    queue = _object({"remainingCapacity": count, "pendingRequests": count})
    model = _object(
        {"modelName": text, "modelVersion": text, "modelUrl": text, "runtime": text}
        | {"minWorkers": count, "maxWorkers": count, "batchSize": count, "maxBatchDelay": count}
        | {"loadedAtStartup": {"type": "boolean"}, "workers": _array(worker), "jobQueueStatus": queue}
    )
    return {
        "PredictionsRequest": {
            "anyOf": [*data, {"title": "One of them", **_open({"data": {"anyOf": data}}, "data")}]
        },
        "Ping": _object({"status": _one_of(["Healthy", "Unhealthy"])}),
        "Likeliest": {
            "type": "object",
            "description": "The probability of each of the five likeliest classes, by its name.",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "ServedModels": _object({"models": _array(_object({"modelName": text, "modelUrl": text}))}),
        "ServedModelDetails": _array(model),
        "TorchServeError": _object({"code": count, "type": text, "message": text}),
    }


def _only(value: str | int) -> Json:
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {"type": kinds[type(value)], "const": value}


def _one_of(texts: Iterable[str]) -> Json:
    return {"type": "string", "enum": list(texts)}


def _array(items: Json, **bounds: int) -> Json:
    return {"type": "array", "items": items, **bounds}


def _open(properties: Json, *required: str) -> Json:
    """Return the schema of what a client sends: it may have other properties, which are ignored."""
    return {"type": "object", "required": list(required), "properties": properties}


def _list(items: Json, length: int) -> Json:
    return _array(items, minItems=length, maxItems=length)


def _object(required: Json, **optional: Json) -> Json:
    """Return the schema of an answer: these properties and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | optional,
        "additionalProperties": False,
    }
