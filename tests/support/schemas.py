"""The JSON Schemas of custom resources, as strict as the API server is with unknown fields."""

from __future__ import annotations

from typing import Any


def strict(schema: Any) -> Any:
    """The same schema, but fields that it does not know are errors: the API server would drop them."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found
