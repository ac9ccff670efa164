"""The model card, ``model.json`` in a weights file: what a model says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from service.errors import InvalidModel

CARD = "model.json"
FORMAT = 1
CLASSES = 10
MAX_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Card:
    """What a weights file says of itself; ``details`` is the whole of its ``model.json``."""

    name: str
    version: str
    details: dict[str, Any]


def read_card(text: bytes) -> Card:
    """Read a ``model.json``.

    Raises:
        InvalidModel: it can't be read, has another format, or lacks a name or a version.
    """
    try:
        details = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"has a {CARD} that can't be read: {error}") from None
    if not isinstance(details, dict):
        raise InvalidModel(f"has a {CARD} that is no object")
    if details.get("format", FORMAT) != FORMAT:
        raise InvalidModel(f"has format {details['format']!r}; this service reads format {FORMAT}")
    for key in ("name", "version"):
        value = details.get(key)
        # Both go into every answer and into log lines, and become labels of a metric.
        if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_LENGTH:
            raise InvalidModel(
                f"has a {CARD} without a {key}; it is a text of at most {MAX_NAME_LENGTH} characters"
            )
        if not value.isprintable():
            raise InvalidModel(f"has a {CARD} whose {key} has a character that can't be printed: {value!a}")
    return Card(details["name"], details["version"], details)
