"""The JSON Schemas of what goes in and out, and examples of both, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from service.api.tensors import DATATYPES, INPUT_NAME, OUTPUTS, SHAPES
from service.inputs.image import PIXELS, SIDE

Json = dict[str, Any]


def ref(name: str) -> Json:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(max_images: int) -> Json:
    """Return every schema by its name."""
    pixel = {"type": "number", "minimum": 0, "maximum": 1}
    row = _list(pixel, SIDE)
    return {
        "Image": {
            "description": f"{SIDE} x {SIDE} pixels by rows, flat or nested: 0 is black paper, 1 white ink.",
            "anyOf": [_list(pixel, PIXELS), _list(row, SIDE)],
        },
        "PredictRequest": {
            "anyOf": [
                {"title": "One image", **_open({"image": ref("Image"), "images": False}, "image")},
                {
                    "title": "Many images",
                    **_open(
                        {"images": _array(ref("Image"), minItems=1, maxItems=max_images), "image": False},
                        "images",
                    ),
                },
            ]
        },
        "Prediction": _object(
            {
                "digit": {"type": "integer", "minimum": 0, "maximum": 9},
                "confidence": {**pixel, "description": "The probability of this digit."},
                "probabilities": {**_list(pixel, 10), "description": "One for each digit; their sum is 1."},
                "model": _object({"name": {"type": "string"}, "version": {"type": "string"}}),
            },
            image={**_list(pixel, PIXELS), "description": "What the model saw, if `preview` was asked for."},
        ),
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
        **_open_inference(max_images),
    }


def _open_inference(max_images: int) -> Json:
    text, parameters = {"type": "string"}, {"type": "object"}
    size = {"type": "integer", "minimum": 1, "maximum": max_images}
    tensor = {"name": text, "datatype": text, "shape": _array({"type": "integer"})}
    tensors = _array(_object(tensor))
    asked = {
        "name": {"const": INPUT_NAME},
        "datatype": {"enum": list(DATATYPES)},
        "shape": {"anyOf": [_tuple(size, *({"const": side} for side in sides)) for sides in SHAPES]},
        "data": {"type": "array", "description": "Flat or nested; or binary, behind the JSON."},
        "parameters": parameters,
    }
    wanted = {"name": {"enum": list(OUTPUTS)}, "parameters": parameters}
    given = _object(tensor, data=_array({"type": "number"}), parameters=parameters)
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
        "Live": _object({"live": {"const": True}}),
        "Ready": _object({"ready": {"const": True}}),
        "ModelReady": _object({"name": text, "ready": {"const": True}}),
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


def _array(items: Json, **bounds: int) -> Json:
    return {"type": "array", "items": items, **bounds}


def _tuple(*items: Json) -> Json:
    return {"type": "array", "prefixItems": list(items), "minItems": len(items), "maxItems": len(items)}


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


def _seven() -> list[int]:
    """Draw a seven, as simply as it can be done: a bar and a slanting stem."""
    image = [0] * PIXELS
    for y in range(5, 24):
        middle = 18 - (y - 5) * 8 // 18
        for x in range(9, 20) if y < 8 else range(middle - 1, middle + 2):
            image[y * SIDE + x] = 1
    return image


SEVEN = _seven()
NESTED = [SEVEN[y * SIDE : (y + 1) * SIDE] for y in range(SIDE)]
REQUEST_EXAMPLES = {
    "flat": {"summary": "An image of a seven", "value": {"image": SEVEN}},
    "nested": {"summary": "The same in rows", "value": {"image": NESTED}},
    "many": {"summary": "Two images at once", "value": {"images": [SEVEN, NESTED]}},
}
_PREDICTION = {
    "digit": 7,
    "confidence": 0.9991,
    "probabilities": [0, 0.0001, 0.0003, 0.0002, 0, 0, 0, 0.9991, 0, 0.0003],
    "model": {"name": "mnist-cnn", "version": "2e83f872e790"},
}
RESPONSE_EXAMPLES = {
    "one": {"summary": "For one image", "value": _PREDICTION},
    "many": {"summary": "For many", "value": {"predictions": [_PREDICTION, _PREDICTION]}},
}
_TENSOR = {"name": INPUT_NAME, "datatype": "FP32", "shape": [1, 1, SIDE, SIDE], "data": SEVEN}
INFER_EXAMPLES = {
    "all": {"summary": "Every output", "value": {"inputs": [_TENSOR]}},
    "digit": {
        "summary": "The digit alone, with an id",
        "value": {"id": "a-seven", "inputs": [_TENSOR], "outputs": [{"name": "digit"}]},
    },
}
