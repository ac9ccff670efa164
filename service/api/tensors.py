"""The Open Inference Protocol's messages: tensors as JSON, or as bytes behind JSON.

Triton calls the second form its binary data extension; the header Inference-Header-Content-Length says where
the JSON ends and little-endian data begins:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

The model takes one input, ``image``, and gives its class, called after the card's ``target``, ``confidence``,
``probabilities`` and ``outlier``, if its card has a threshold: what ``POST /predict`` answers, as tensors.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from service.errors import InvalidBody, InvalidImage
from service.inference.card import Card
from service.inference.prediction import Prediction
from service.inputs import json_errors
from service.inputs.image import Image, Shape, as_float32
from service.inputs.turns import pieces

HEADER_LENGTH = "inference-header-content-length"
INPUT_NAME = "image"
DATATYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "FP16": np.dtype("<f2"),
    "UINT8": np.dtype("u1"),
}

Tensor = NDArray[np.int64] | NDArray[np.float32] | NDArray[np.bool_] | NDArray[np.object_]


class Output(NamedTuple):
    """One of the model's outputs: what the protocol says of it, and how it is made of predictions."""

    metadata: dict[str, Any]
    collect: Callable[[Sequence[Prediction]], Tensor]


class InferenceRequest(NamedTuple):
    """An inference request."""

    id: str | None
    images: Image  # shape (N, size)
    outputs: dict[str, bool]  # the name of each output to send, and whether it goes as bytes


class Tensors:
    """The messages about a model with this card, of at most so many images."""

    def __init__(self, card: Card, max_images: int) -> None:
        shape, texts = card.shape, isinstance(card.classes[0], str)
        sides = list(shape.planes)
        self._shape, self._max_images = shape, max_images
        self.input = {"name": INPUT_NAME, "datatype": "FP32", "shape": [-1, *sides]}
        self.shapes = [(shape.size,), tuple(sides)]
        if shape.channels == 1:
            self.shapes.insert(1, tuple(sides[1:]))
        labels = object if texts else "<i8"
        self.outputs = {
            card.target: Output(
                {"name": card.target, "datatype": "BYTES" if texts else "INT64", "shape": [-1]},
                lambda predictions: np.array([prediction.label for prediction in predictions], labels),
            ),
            "confidence": Output(
                {"name": "confidence", "datatype": "FP32", "shape": [-1]},
                lambda predictions: np.array([prediction.confidence for prediction in predictions], "<f4"),
            ),
            "probabilities": Output(
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(card.classes)]},
                lambda predictions: np.stack([prediction.probabilities for prediction in predictions]),
            ),
        }
        if card.tells_outliers:
            self.outputs["outlier"] = Output(
                {"name": "outlier", "datatype": "BOOL", "shape": [-1]},
                lambda predictions: np.array([prediction.outlier for prediction in predictions], np.bool_),
            )

    def read_request(self, body: bytes, header_length: str | None) -> InferenceRequest:
        """Return what a request asks, given its body and its ``Inference-Header-Content-Length``.

        Raises:
            InvalidBody: it breaks the protocol, or asks for what the model does not have.
            TooManyImages: it has more numbers or lists than the most images have.
            InvalidImage: a UINT8 element is not in 0..255. Other pixels are left for the caller to check.
        """
        if header_length == "0":
            return InferenceRequest(None, self._read_raw(body), dict.fromkeys(self.outputs, True))
        message, data = self._split(body, header_length)
        id_ = message["id"] if isinstance(message.get("id"), str) else None
        return InferenceRequest(id_, self._images(message, data), self._wanted(message))

    def write_response(self, request: InferenceRequest, predictions: Sequence[Prediction]) -> Response:
        """Return the response to a request, given the predictions of its images."""
        outputs: list[dict[str, Any]] = []
        chunks: list[bytes] = []
        for name, binary in request.outputs.items():
            tensor = self.outputs[name].collect(predictions)
            output = {**self.outputs[name].metadata, "shape": list(tensor.shape)}
            if binary:
                chunks.append(_to_bytes(tensor))
                outputs.append({**output, "parameters": {"binary_data_size": len(chunks[-1])}})
            else:
                data = tensor.tolist() if tensor.dtype == object else tensor.reshape(-1)
                outputs.append({**output, "data": data})
        # All are by one model, except during a reload; then the first one's is given.
        card = predictions[0].model
        answer: dict[str, Any] = {"model_name": card.name, "model_version": card.version, "outputs": outputs}
        if request.id is not None:
            answer["id"] = request.id
        head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        if not chunks:
            return Response(head, media_type="application/json")
        return Response(
            b"".join((head, *chunks)),
            media_type="application/octet-stream",
            headers={HEADER_LENGTH: str(len(head))},
        )

    def _read_raw(self, body: bytes) -> Image:
        """Read a raw binary request, which has no JSON: the one input, as its metadata describe it."""
        dtype = DATATYPES["FP32"]
        size = self._shape.size * dtype.itemsize
        images, rest = divmod(len(body), size)
        if rest or not images:
            raise InvalidBody(
                f"the body has {len(body)} bytes and, as {HEADER_LENGTH} is 0, no JSON; an image is {size} "
                "bytes of FP32"
            )
        return self._channels_last(np.frombuffer(body, dtype))

    def _split(self, body: bytes, header_length: str | None) -> tuple[dict[str, Any], bytes]:
        """Return a message's JSON object and the binary data behind it."""
        length = len(body)
        if header_length is not None:
            # An integer of thousands of characters is not one that Python converts.
            is_number = header_length.isascii() and header_length.isdecimal() and len(header_length) < 20
            if not is_number or int(header_length) > len(body):
                raise InvalidBody(
                    f"{HEADER_LENGTH} is {header_length[:20]!r}; the body has {len(body)} bytes"
                )
            length = int(header_length)
        message = json_errors.parse(body[:length], self._shape, self._max_images)
        if not isinstance(message, dict):
            raise InvalidBody("the body is not a JSON object; an inference request has inputs")
        return message, body[length:]

    def _images(self, message: dict[str, Any], data: bytes) -> Image:
        """Return the images, shape (N, size), in the one input of a request."""
        inputs = message.get("inputs")
        if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
            raise InvalidBody(
                f"the model takes one input, {INPUT_NAME!r}: inputs must be a list of one object"
            )
        tensor = inputs[0]
        if tensor.get("name") != INPUT_NAME:
            raise InvalidBody(
                f"the input is called {str(tensor.get('name'))[:40]!r}; the model takes {INPUT_NAME!r}"
            )
        return self.read_input(tensor, data)

    def read_input(self, tensor: dict[str, Any], data: bytes = b"") -> Image:
        """Return the images, shape (N, size), in an input and the bytes behind the JSON.

        Raises:
            InvalidBody, InvalidImage: as ``read_request`` does.
        """
        datatype = tensor.get("datatype")
        shape: Any = tensor.get("shape")
        if not isinstance(datatype, str) or datatype not in DATATYPES:
            raise InvalidBody(
                f"the input's datatype is {str(datatype)[:20]}; expected {', '.join(DATATYPES)}"
            )
        if not self._is_shape(shape):
            known = [f"[N, {', '.join(map(str, sides))}]" for sides in reversed(self.shapes)]
            raise InvalidBody(
                f"the input's shape is {str(shape)[:40]}; expected {', '.join(known[:-1])} or {known[-1]}"
            )
        parameters = _parameters(tensor)
        if "shared_memory_region" in parameters:
            raise InvalidBody("there is no shared memory extension; send the input's data in the request")
        size = parameters.get("binary_data_size")
        if size is not None:
            pixels = _read_binary(data, size, DATATYPES[datatype], shape, self._shape)
        elif data:
            raise InvalidBody(f"{len(data)} bytes follow the JSON, but the input has no binary_data_size")
        else:
            pixels = _read_numbers(tensor.get("data"), datatype, shape, self._shape)
        pixels = as_float32(pixels)
        if datatype == "UINT8":
            pixels = pixels / np.float32(255)
        return self._channels_last(pixels)

    def _channels_last(self, pixels: Image) -> Image:
        """Return images, shape (N, size), from the protocol's order, in which the channel comes first."""
        shape = self._shape
        if shape.channels == 1:
            return pixels.reshape(-1, shape.size)
        planes = pixels.reshape(-1, *shape.planes)
        return planes.transpose(0, 2, 3, 1).reshape(-1, shape.size)

    def _is_shape(self, shape: Any) -> bool:
        if not isinstance(shape, list) or not all(type(side) is int for side in shape):
            return False
        return tuple(shape[1:]) in self.shapes and shape[0] >= 1

    def _wanted(self, message: dict[str, Any]) -> dict[str, bool]:
        """Return the names of the outputs to send, and whether each goes as binary data."""
        binary = _flag(message, "binary_data_output")
        outputs = message.get("outputs") or [{"name": name} for name in self.outputs]
        if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
            raise InvalidBody("outputs is not a list of objects")
        return {self._name(output): _flag(output, "binary_data", default=binary) for output in outputs}

    def _name(self, output: dict[str, Any]) -> str:
        """Return which output is asked for, if it is asked for in a way that is offered."""
        name = output.get("name")
        if not isinstance(name, str) or name not in self.outputs:
            raise InvalidBody(
                f"there is no output {str(name)[:40]!r}; the model has {', '.join(self.outputs)}"
            )
        parameters = _parameters(output)
        if "shared_memory_region" in parameters:
            raise InvalidBody(f"there is no shared memory extension; {name} comes in the response")
        if "classification" in parameters:
            raise InvalidBody(
                f"{name} is asked for with classification (class_count), which is not offered; ask for "
                "probabilities, which has every class"
            )
        return name


def _to_bytes(tensor: Tensor) -> bytes:
    """Return a tensor's elements; each text with its length before it, as BYTES have it."""
    if tensor.dtype != object:
        return tensor.tobytes()
    texts = [text.encode() for text in tensor]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read_binary(
    data: bytes, size: Any, dtype: np.dtype[Any], shape: list[int], image: Shape
) -> NDArray[Any]:
    if type(size) is not int or size != len(data):
        raise InvalidBody(f"binary_data_size is {str(size)[:20]}; {len(data)} bytes follow the JSON")
    if size % dtype.itemsize:
        raise InvalidBody(f"binary_data_size is {size}; an element has {dtype.itemsize} bytes")
    _check_count(size // dtype.itemsize, shape, image)
    return np.frombuffer(data, dtype)


def _read_numbers(data: Any, datatype: str, shape: list[int], image: Shape) -> NDArray[np.float64]:
    """Return the elements of a list, flat or nested; their types are known before NumPy sees them."""
    if not isinstance(data, list):
        raise InvalidBody("the input has no data: expected a list of numbers, flat or nested")
    while data and isinstance(data[0], list):
        if any(not isinstance(row, list) or len(row) != len(data[0]) for row in data):
            raise InvalidBody("the input's data is not an even tensor: its rows differ in length")
        data = list(itertools.chain.from_iterable(data))
    _check_count(len(data), shape, image)
    # bool is a subclass of int, but true is not a number in JSON: the types are compared, not their ancestry.
    types = {int} if datatype == "UINT8" else {int, float}
    if not all(types.issuperset(map(type, piece)) for piece in pieces(data)):
        raise InvalidBody(f"the input's data are not all {DATATYPES[datatype].name} numbers")
    numbers = json_errors.as_doubles(data)
    if datatype == "UINT8" and not 0 <= numbers.min() <= numbers.max() <= 255:
        raise InvalidImage("the input's data are UINT8 numbers, which lie in 0..255")
    return numbers


def _check_count(found: int, shape: list[int], image: Shape) -> None:
    expected = shape[0] * image.size
    if found != expected:
        raise InvalidBody(f"the input has {found} elements; its shape {shape} has {expected}")


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidBody("parameters is not an object")
    return parameters


def _flag(holder: dict[str, Any], name: str, *, default: bool = False) -> bool:
    value = _parameters(holder).get(name, default)
    if not isinstance(value, bool):
        raise InvalidBody(f"{name} is {str(value)[:20]}; expected true or false")
    return value
