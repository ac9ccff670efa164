"""Examples of what goes in and out, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.api.predict import respond
from service.api.tensors import INPUT_NAME
from service.inference.card import Card
from service.inference.prediction import Prediction
from service.inputs.preprocessing import MNIST, mnist

Json = dict[str, Any]

MAX_NUMBERS = 1000  # of an image that is shown as JSON


def requests(card: Card) -> Json:
    """Return examples of ``POST /predict`` as JSON; none for a model whose images are too large for that."""
    if card.shape.size > MAX_NUMBERS:
        return {}
    what, flat = _image(card)
    nested = np.reshape(flat, card.shape.sides).tolist()
    return {
        "flat": {"summary": what, "value": {"image": flat}},
        "nested": {"summary": "The same in rows", "value": {"image": nested}},
        "many": {"summary": "Two images at once", "value": {"images": [flat, nested]}},
    }


def responses(card: Card) -> Json:
    """Return examples of its answers: such as they look, not what the model says."""
    import orjson

    place = mnist.EXAMPLE_CLASS if card.pictures.method == MNIST else 0
    others = (1 - 0.95) / (len(card.classes) - 1)
    probabilities = np.full(len(card.classes), others, np.float32)
    probabilities[place] = 0.95
    energy = None if card.outlier_threshold is None else card.outlier_threshold - 5
    prediction = Prediction(place, 0.95, probabilities, card, energy)
    one, many = respond(prediction), respond([prediction, prediction])
    return {
        "one": {"summary": "For one image", "value": orjson.loads(one.body)},
        "many": {"summary": "For many", "value": orjson.loads(many.body)},
    }


def inferences(card: Card) -> Json:
    """Return examples of ``POST /v2/models/{name}/infer``."""
    shape = card.shape
    if shape.size > MAX_NUMBERS:
        return {}
    _, flat = _image(card)
    planes = np.reshape(flat, (shape.height, shape.width, shape.channels)).transpose(2, 0, 1)
    tensor = {
        "name": INPUT_NAME,
        "datatype": "FP32",
        "shape": [1, *shape.planes],
        "data": planes.reshape(-1).tolist(),
    }
    return {
        "all": {"summary": "Every output", "value": {"inputs": [tensor]}},
        "class": {
            "summary": "The class alone, with an id",
            "value": {"id": "an-id", "inputs": [tensor], "outputs": [{"name": card.target}]},
        },
    }


def _image(card: Card) -> tuple[str, list[float]]:
    if card.pictures.method == MNIST:
        return mnist.EXAMPLE_NAME, mnist.example()
    ramp = np.linspace(0, 1, card.shape.size)
    return "An image that gets brighter", ramp.round(3).tolist()
