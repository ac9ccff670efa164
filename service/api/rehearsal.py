"""What answers say of a model, made once before it serves: a card that can't be encoded is refused."""

from __future__ import annotations

import orjson

from service.api.open_inference import describe
from service.api.predict import respond
from service.api.tensors import InferenceRequest, Tensors
from service.errors import InvalidModel
from service.inference.model import Model
from service.inference.prediction import predictions


def rehearse(model: Model) -> None:
    """Make an answer, an Open Inference answer, the metadata and a metric's labels of a model.

    Raises:
        InvalidModel: one of them can't be made.
    """
    card = model.card
    try:
        answers = predictions(model.golden.logits[:1], card)
        respond(answers)
        tensors = Tensors(card, max_images=1)
        wanted = dict.fromkeys(tensors.outputs, False)
        tensors.write_response(InferenceRequest(None, model.golden.images[:1], wanted), answers)
        orjson.dumps(describe(card, tensors))
        f"{card.name} {card.version}".encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is one
        raise InvalidModel(f"what its model card says can't be put into an answer: {error}") from None
