"""Errors as responses: problem details (RFC 9457), and their forms in other protocols."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import ServiceError, UnknownModel, UnknownVersion

# Paths whose clients expect errors in another form.
OPEN_INFERENCE = "/v2"
TORCHSERVE = ("/predictions", "/explanations", "/models", "/ping")
# What TorchServe calls an error: by our problem's type where it is more exact than the status.
TORCHSERVE_TYPES: dict[str | int, str] = {
    f"urn:problem-type:{UnknownModel.slug}": "ModelNotFoundException",
    f"urn:problem-type:{UnknownVersion.slug}": "ModelVersionNotFoundException",
    HTTPStatus.UNAUTHORIZED: "InvalidKeyException",
    HTTPStatus.NOT_FOUND: "ResourceNotFoundException",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowedException",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalServerException",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailableException",
    HTTPStatus.GATEWAY_TIMEOUT: "ServiceUnavailableException",
}


def problem(error: ServiceError) -> Response:
    """Render a refusal as a problem details response."""
    headers = dict(error.headers)
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    return _problem_details(
        error.status,
        error.detail,
        title=error.title,
        type_=f"urn:problem-type:{error.slug}",
        pointer=error.pointer,
        headers=headers,
    )


def unrouted(path: str, method: str, error: HTTPException) -> Response:
    """Render what the router raises: no such path, or no such method on it."""
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{method} is not allowed on {path}; use {(error.headers or {}).get('Allow', '')}"
    else:
        detail = f"nothing is at {path[:200]}; predictions are at POST /predict"
    return _problem_details(error.status_code, detail, headers=error.headers)


def internal_error(request_id: str) -> Response:
    """Render a fault of our own: its details are in the log, not in the response."""
    return _problem_details(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"the service failed; its log has the details under request {request_id}",
    )


def in_protocol_of(path: str, response: Response) -> Response:
    """Return a problem as it is, or as the protocol of the path has it.

    The Open Inference Protocol has ``{"error": "…"}``, TorchServe's ``{"code", "type", "message"}``.
    """
    if not path.startswith((OPEN_INFERENCE, *TORCHSERVE)):
        return response
    found = orjson.loads(bytes(response.body))
    content = {"error": found["detail"]}
    if path.startswith(TORCHSERVE):
        by_status = TORCHSERVE_TYPES.get(response.status_code, "BadRequestException")
        type_ = TORCHSERVE_TYPES.get(found["type"], by_status)
        content = {"code": response.status_code, "type": type_, "message": found["detail"]}
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("content-type", "content-length")
    }
    return Response(orjson.dumps(content), response.status_code, headers, media_type="application/json")


def _problem_details(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    type_: str = "about:blank",
    pointer: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build an ``application/problem+json`` response.

    With the default type, ``about:blank``, the title is the status code's own phrase, as the RFC asks.
    """
    body = {
        "type": type_,
        "title": title or HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
    }
    if pointer is not None:
        body["pointer"] = pointer
    return Response(
        orjson.dumps(body), status_code=status, headers=headers, media_type="application/problem+json"
    )
