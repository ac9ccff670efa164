"""Everything the service refuses, and the one shape in which it says so.

    ServiceError
    ├── InvalidBody            400  the body is not what its content type promises
    ├── InvalidImage           422  well-formed, but not a 28 x 28 image with pixels in 0..1
    ├── BlankPicture           422  a picture, but there is nothing on it
    ├── InvalidOption          422  a query parameter that means nothing
    ├── Unauthorized           401  no API key, or none that is known
    ├── UnknownModel           404  the service has one model, and it has another name or version
    ├── BodyTooLarge           413
    ├── HeadersTooLarge        431
    ├── InvalidRequest         400  not HTTP
    ├── RequestTimeout         408  the request did not arrive in time
    ├── PictureTooLarge        413  more pixels than the limit
    ├── TooManyImages          413  more images in one request than the limit
    ├── UnsupportedMediaType   415
    ├── QueueFull              503  too many requests wait already
    ├── QueueTimeout           504  waited too long for the model
    ├── MemoryShort            503  there is not enough of it for this request now
    └── ModelUnavailable       503  nothing to predict with
    RequestAbandoned                the client went away; there is nobody to answer

The engine raises these without knowing HTTP; only this module and ``app.py`` speak of status codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

import orjson
from starlette.responses import Response


class ServiceError(Exception):
    """A refusal that the client may read: what was found, where, and what to do.

    ``pointer`` is a JSON Pointer (RFC 6901) to the offending element, where there is one.
    """

    status: HTTPStatus
    slug: str
    title: str
    retry_after_seconds: int | None = None
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


class InvalidBody(ServiceError):
    """The bytes do not parse."""

    status = HTTPStatus.BAD_REQUEST
    slug = "invalid-body"
    title = "The body can't be read"


class InvalidImage(ServiceError):
    """The bytes parse, but they are no image the model takes."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-image"
    title = "Not a 28 x 28 image with pixels in 0..1"


class BlankPicture(ServiceError):
    """A picture with nothing on it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "blank-picture"
    title = "The picture is blank"


class InvalidOption(ServiceError):
    """A query parameter has a value that it does not take."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-option"
    title = "An option has a wrong value"


class Unauthorized(ServiceError):
    """The request shows no API key that is known."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthorized"
    title = "An API key is needed"
    headers: ClassVar[Mapping[str, str]] = {"www-authenticate": 'Bearer realm="rust-ml-api"'}


class UnknownModel(ServiceError):
    """A model, or a version of it, that is not served here."""

    status = HTTPStatus.NOT_FOUND
    slug = "unknown-model"
    title = "No such model"


class BodyTooLarge(ServiceError):
    """More bytes than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "body-too-large"
    title = "The body is too large"


class HeadersTooLarge(ServiceError):
    """More bytes before the body, or more lines of them, than the limit."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    slug = "headers-too-large"
    title = "The headers are too large"


class InvalidRequest(ServiceError):
    """The bytes are not HTTP."""

    status = HTTPStatus.BAD_REQUEST
    slug = "invalid-request"
    title = "Not an HTTP request"


class RequestTimeout(ServiceError):
    """The headers or the body did not arrive in the time that they have."""

    status = HTTPStatus.REQUEST_TIMEOUT
    slug = "request-timeout"
    title = "The request came too slowly"


class PictureTooLarge(ServiceError):
    """More pixels than the limit; nothing of the picture was decoded."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "picture-too-large"
    title = "The picture has too many pixels"


class TooManyImages(ServiceError):
    """More images in one request than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "too-many-images"
    title = "Too many images in one request"


class UnsupportedMediaType(ServiceError):
    """A content type that the route does not take."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    slug = "unsupported-media-type"
    title = "Unsupported content type"


class QueueFull(ServiceError):
    """The bounded queue has no room."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "queue-full"
    title = "The service is at capacity"
    retry_after_seconds = 1


class QueueTimeout(ServiceError):
    """The request waited longer than the limit."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    slug = "queue-timeout"
    title = "The request waited too long"


class MemoryShort(ServiceError):
    """The request needs more memory than there is now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "memory-short"
    title = "The service is short of memory"
    retry_after_seconds = 1


class ModelUnavailable(ServiceError):
    """The model isn't running: starting up, shutting down, or its thread has died."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "model-unavailable"
    title = "The model is not available"
    retry_after_seconds = 1


class RequestAbandoned(Exception):
    """The client has closed its connection while its request waited."""


def problem(error: ServiceError) -> Response:
    """Render a refusal as a problem details response."""
    headers = dict(error.headers)
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    return problem_details(
        error.status,
        error.detail,
        title=error.title,
        type_=f"urn:problem-type:{error.slug}",
        pointer=error.pointer,
        headers=headers,
    )


def problem_details(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    type_: str = "about:blank",
    pointer: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build an ``application/problem+json`` response (RFC 9457).

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


def open_inference_error(problem: Response) -> Response:
    """Say the same in the words of the Open Inference Protocol: ``{"error": "..."}``."""
    detail = orjson.loads(bytes(problem.body))["detail"]
    headers = {
        name: value
        for name, value in problem.headers.items()
        if name not in ("content-type", "content-length")
    }
    return Response(
        orjson.dumps({"error": detail}), problem.status_code, headers, media_type="application/json"
    )
