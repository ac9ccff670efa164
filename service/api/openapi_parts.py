"""What the parts of the OpenAPI description have in common: operations, responses, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service import errors
from service.api.schemas import ref
from service.errors import ServiceError

Json = dict[str, Any]

OPEN_INFERENCE = "open inference protocol"
TORCHSERVE = "torchserve"
ERRORS = {OPEN_INFERENCE: "Error", TORCHSERVE: "TorchServeError"}  # the schema of each protocol's errors
HEADERS = {
    "X-Request-ID": {"description": "The id of this request in the logs.", "schema": {"type": "string"}},
    "X-Served-By": {"description": "The replica that answered.", "schema": {"type": "string"}},
}
# As OpenAPI 3.0 wrote it, too: generators know bytes by the format.
BYTES = {"type": "string", "format": "binary"}
PICTURE = {"schema": {**BYTES, "contentMediaType": "image/*"}}
BINARY = {"application/octet-stream": {"schema": {**BYTES, "contentMediaType": "application/octet-stream"}}}
TEXT = {"text/plain": {"schema": {"type": "string"}}}
NOT_READY, UNKNOWN = (errors.ModelUnavailable,), (errors.UnknownModel,)
# What any request with a body can meet before its route is known, and what a prediction can meet.
READING = (errors.RequestTimeout, errors.UriTooLong, errors.HeadersTooLarge)
PREDICTING = (
    errors.InvalidBody,
    errors.Unauthorized,
    errors.BodyTooLarge,
    errors.TooManyImages,
    errors.UnsupportedMediaType,
    errors.UnsupportedEncoding,
    errors.InvalidImage,
    errors.QueueFull,
    errors.ModelUnavailable,
    errors.QueueTimeout,
)
PICTURES = (errors.PictureTooLarge, errors.BlankPicture, errors.OutOfMemory)


def json_content(schema: Json) -> Json:
    """Return content that is JSON of this schema."""
    return {"application/json": {"schema": schema}}


def json_of(name: str) -> Json:
    """Return content that is JSON of the schema with this name."""
    return json_content(ref(name))


def option(name: str, description: str) -> Json:
    """Return a query parameter that is off unless it is asked for."""
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def in_path(name: str) -> Json:
    """Return a parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def get(operation: str, tag: str, summary: str, content: Json, *failures: type[ServiceError]) -> Json:
    """Return an operation without a body, whose failures are told as the protocol of its tag has it."""
    responses = {
        "200": {
            "description": "Yes." if errors.ModelUnavailable in failures else "Here it is.",
            "headers": HEADERS,
            "content": content,
        }
    }
    refusals = errors_of(tag, *failures) if tag in ERRORS else problems(*failures)
    return {"operationId": operation, "tags": [tag], "summary": summary, "responses": responses | refusals}


def problems(*failures: type[ServiceError]) -> Json:
    """Return the responses for errors as problem details."""
    return _refusals(failures, {"application/problem+json": {"schema": ref("Problem")}})


def errors_of(tag: str, *failures: type[ServiceError]) -> Json:
    """Return the responses for errors as the protocol with this tag has them."""
    return _refusals(failures, json_of(ERRORS[tag]))


def _refusals(failures: Sequence[type[ServiceError]], content: Json) -> Json:
    """Return a response for each status that one of these errors has."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for failure in failures:
        by_status.setdefault(failure.status, []).append(failure)
    return {str(int(status)): _refusal(group, content) for status, group in sorted(by_status.items())}


def _refusal(group: Sequence[type[ServiceError]], content: Json) -> Json:
    headers = dict(HEADERS)
    if any(failure.retry_after_seconds is not None for failure in group):
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    if any("www-authenticate" in failure.headers for failure in group):
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    description = ". ".join(failure.title for failure in group) + "."
    return {"description": description, "headers": headers, "content": content}
