"""The Open Inference Protocol's messages: tensors as JSON, or as bytes behind JSON.

Triton calls the second form its binary data extension; the header Inference-Header-Content-Length says where
the JSON ends and little-endian data begins:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

The model takes one input, ``image``, and gives ``digit``, ``confidence`` and ``probabilities``: what
``POST /predict`` answers, as tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from service.errors import InvalidBody, InvalidImage
from service.model import Prediction
from service.pixels import PIXELS, SIDE, Image

HEADER_LENGTH = "inference-header-content-length"
INPUT_NAME = "image"
INPUT = {"name": INPUT_NAME, "datatype": "FP32", "shape": [-1, 1, SIDE, SIDE]}
SHAPES = ((PIXELS,), (SIDE, SIDE), (1, SIDE, SIDE))
DATATYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "UINT8": np.dtype("u1"),
}

Tensor = NDArray[np.int64] | NDArray[np.float32]


class Output(NamedTuple):
    """One of the model's outputs: what the protocol says of it, and how it is made of predictions."""

    metadata: dict[str, Any]
    collect: Callable[[Sequence[Prediction]], Tensor]


OUTPUTS = {
    "digit": Output(
        {"name": "digit", "datatype": "INT64", "shape": [-1]},
        lambda predictions: np.array([prediction.digit for prediction in predictions], "<i8"),
    ),
    "confidence": Output(
        {"name": "confidence", "datatype": "FP32", "shape": [-1]},
        lambda predictions: np.array([prediction.confidence for prediction in predictions], "<f4"),
    ),
    "probabilities": Output(
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        lambda predictions: np.stack([prediction.probabilities for prediction in predictions]),
    ),
}


class Question(NamedTuple):
    """An inference request."""

    id: str | None
    images: list[Image]  # each of shape (784,)
    outputs: dict[str, bool]  # the name of each output to send, and whether it goes as bytes


def read_request(body: bytes, header_length: str | None) -> Question:
    """Return what a request asks, given its body and the value of its ``Inference-Header-Content-Length``.

    Raises:
        InvalidBody: it breaks the protocol, or asks for what the model does not have.
        InvalidImage: a UINT8 element is not in 0..255. Other pixels are left for the caller to check.
    """
    message, data = _split(body, header_length)
    id_ = message.get("id")
    return Question(id_ if isinstance(id_, str) else None, _images(message, data), _outputs(message))


def write_response(question: Question, predictions: Sequence[Prediction]) -> Response:
    """Return the response to a request, given the predictions of its images."""
    outputs: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    for name, binary in question.outputs.items():
        tensor = OUTPUTS[name].collect(predictions)
        output = {**OUTPUTS[name].metadata, "shape": list(tensor.shape)}
        if binary:
            chunks.append(tensor.tobytes())
            outputs.append({**output, "parameters": {"binary_data_size": len(chunks[-1])}})
        else:
            outputs.append({**output, "data": tensor.reshape(-1)})
    # All by one model, but for the moment of a reload; then the first speaks for the rest.
    card = predictions[0].model
    answer: dict[str, Any] = {"model_name": card.name, "model_version": card.version, "outputs": outputs}
    if question.id is not None:
        answer["id"] = question.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not chunks:
        return Response(head, media_type="application/json")
    return Response(
        b"".join((head, *chunks)),
        media_type="application/octet-stream",
        headers={HEADER_LENGTH: str(len(head))},
    )


def _split(body: bytes, header_length: str | None) -> tuple[dict[str, Any], bytes]:
    """Return a message's JSON object and the binary data behind it."""
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()) or int(header_length) > len(body):
            raise InvalidBody(f"{HEADER_LENGTH} is {header_length[:20]!r}; the body has {len(body)} bytes")
        length = int(header_length)
    try:
        message = orjson.loads(body[:length])
    except orjson.JSONDecodeError as error:
        raise InvalidBody(f"the body is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidBody("the body is not a JSON object; an inference request has inputs")
    return message, body[length:]


def _images(message: dict[str, Any], data: bytes) -> list[Image]:
    """Return the images, each of shape (784,), in the one input of a request."""
    inputs = message.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidBody(f"the model takes one input, {INPUT_NAME!r}: inputs must be a list of one object")
    tensor = inputs[0]
    if tensor.get("name") != INPUT_NAME:
        raise InvalidBody(
            f"the input is called {str(tensor.get('name'))[:40]!r}; the model takes {INPUT_NAME!r}"
        )
    datatype = tensor.get("datatype")
    shape: Any = tensor.get("shape")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidBody(f"the input's datatype is {str(datatype)[:20]}; expected {', '.join(DATATYPES)}")
    if not _is_shape(shape):
        raise InvalidBody(
            f"the input's shape is {str(shape)[:40]}; expected [N, 1, {SIDE}, {SIDE}], [N, {SIDE}, {SIDE}] "
            f"or [N, {PIXELS}]"
        )
    pixels = _pixels(tensor, DATATYPES[datatype], data)
    if pixels.size != shape[0] * PIXELS:
        raise InvalidBody(f"the input has {pixels.size} elements; its shape {shape} has {shape[0] * PIXELS}")
    if datatype == "UINT8":
        pixels = pixels / np.float32(255)
    return list(pixels.reshape(-1, PIXELS))


def _pixels(tensor: dict[str, Any], dtype: np.dtype[Any], data: bytes) -> NDArray[Any]:
    size = _parameters(tensor).get("binary_data_size")
    if size is not None:
        if type(size) is not int or size != len(data):
            raise InvalidBody(f"binary_data_size is {str(size)[:20]}; {len(data)} bytes follow the JSON")
        if size % dtype.itemsize:
            raise InvalidBody(f"binary_data_size is {size}; an element has {dtype.itemsize} bytes")
        return np.frombuffer(data, dtype)
    if data:
        raise InvalidBody(f"{len(data)} bytes follow the JSON, but the input has no binary_data_size")
    if not isinstance(tensor.get("data"), list):
        raise InvalidBody("the input has no data: expected a list of numbers, flat or nested")
    try:
        found = np.asarray(tensor["data"])
    except ValueError:
        raise InvalidBody("the input's data is not an even tensor: its rows differ in length") from None
    if found.size and found.dtype.kind not in ("iu" if dtype.kind == "u" else "iuf"):
        raise InvalidBody(f"the input's data are not all {dtype.name} numbers")
    if dtype.kind == "u" and found.size and not 0 <= found.min() <= found.max() <= 255:
        raise InvalidImage("the input's data are UINT8 numbers, which lie in 0..255")
    with np.errstate(over="ignore"):  # too large for a float: infinite, and refused as such
        return found.astype(dtype)


def _outputs(message: dict[str, Any]) -> dict[str, bool]:
    """Return the names of the outputs to send, and whether each goes as binary data."""
    binary = _flag(message, "binary_data_output")
    outputs = message.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise InvalidBody("outputs is not a list of objects")
    wanted = {}
    for output in outputs:
        name = output.get("name")
        if not isinstance(name, str) or name not in OUTPUTS:
            raise InvalidBody(f"there is no output {str(name)[:40]!r}; the model has {', '.join(OUTPUTS)}")
        if "classification" in _parameters(output):
            raise InvalidBody("the classification extension is not spoken here; ask for digit instead")
        wanted[name] = _flag(output, "binary_data", default=binary)
    return wanted


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        return False
    return tuple(shape[1:]) in SHAPES and shape[0] >= 1


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidBody("parameters is not an object")
    return parameters


def _flag(holder: dict[str, Any], name: str, *, default: bool = False) -> bool:
    value = _parameters(holder).get(name, default)
    if not isinstance(value, bool):
        raise InvalidBody(f"{name} is {str(value)[:20]}; expected true or false")
    return value
