"""Every error of the service, as data: this module imports the standard library and nothing else.

    ServiceError                    a refusal that the client may read
    ├── InvalidBody            400  the body is not what its content type promises
    ├── InvalidRequest         400  not HTTP
    ├── Unauthorized           401  no API key, or an unknown one
    ├── UnknownModel           404  another model, or another version, than the one that is served
    ├── RequestTimeout         408  the request did not arrive in time
    ├── BodyTooLarge           413
    ├── PictureTooLarge        413  more pixels than the limit
    ├── TooManyImages          413  more images in one request than the limit
    ├── UnsupportedMediaType   415
    ├── InvalidImage           422  well-formed, but not a 28 x 28 image with pixels in 0..1
    ├── BlankPicture           422  a picture with nothing on it
    ├── InvalidOption          422  a query parameter has a value that it does not take
    ├── HeadersTooLarge        431
    ├── QueueFull              503  too many requests wait already
    ├── OutOfMemory            503  not enough memory for this request now
    ├── ModelUnavailable       503  the model is not running
    └── QueueTimeout           504  the request waited too long for the model
    RequestAbandoned           499  the client closed its connection; nobody reads the answer
    InvalidModel                    the weights file can't be served

``service.api.problems`` makes responses of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar


class ServiceError(Exception):
    """A refusal that the client may read: what was found, where, and what to do.

    ``pointer`` is a JSON Pointer (RFC 6901) to the offending element, where there is one.
    """

    status: ClassVar[HTTPStatus]
    slug: ClassVar[str]
    title: ClassVar[str]
    retry_after_seconds: ClassVar[int | None] = None
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


class InvalidRequest(ServiceError):
    """The bytes are not HTTP."""

    status = HTTPStatus.BAD_REQUEST
    slug = "invalid-request"
    title = "Not an HTTP request"


class Unauthorized(ServiceError):
    """The request has no API key, or an unknown one."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthorized"
    title = "An API key is needed"
    headers: ClassVar[Mapping[str, str]] = {"www-authenticate": 'Bearer realm="rust-ml-api"'}


class UnknownModel(ServiceError):
    """The path names a model, or a version of it, that is not served here."""

    status = HTTPStatus.NOT_FOUND
    slug = "unknown-model"
    title = "No such model"


class RequestTimeout(ServiceError):
    """The headers or the body did not arrive within their time limit."""

    status = HTTPStatus.REQUEST_TIMEOUT
    slug = "request-timeout"
    title = "The request came too slowly"


class BodyTooLarge(ServiceError):
    """The body has more bytes than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "body-too-large"
    title = "The body is too large"


class PictureTooLarge(ServiceError):
    """The picture has more pixels than the limit; none of them was decoded."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "picture-too-large"
    title = "The picture has too many pixels"


class TooManyImages(ServiceError):
    """One request has more images than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "too-many-images"
    title = "Too many images in one request"


class UnsupportedMediaType(ServiceError):
    """The route does not take this content type."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    slug = "unsupported-media-type"
    title = "Unsupported content type"


class InvalidImage(ServiceError):
    """The bytes parse, but they are no image that the model takes."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-image"
    title = "Not a 28 x 28 image with pixels in 0..1"


class BlankPicture(ServiceError):
    """The picture has nothing on it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "blank-picture"
    title = "The picture is blank"


class InvalidOption(ServiceError):
    """A query parameter has a value that it does not take."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-option"
    title = "An option has a wrong value"


class HeadersTooLarge(ServiceError):
    """The headers have more bytes, or more lines, than the limit."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    slug = "headers-too-large"
    title = "The headers are too large"


class QueueFull(ServiceError):
    """The bounded queue has no room."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "queue-full"
    title = "The service is at capacity"
    retry_after_seconds = 1


class OutOfMemory(ServiceError):
    """The request needs more memory than there is now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "out-of-memory"
    title = "The service is short of memory"
    retry_after_seconds = 1


class ModelUnavailable(ServiceError):
    """The model isn't running: starting up, shutting down, or its thread has died."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "model-unavailable"
    title = "The model is not available"
    retry_after_seconds = 1


class QueueTimeout(ServiceError):
    """The request waited longer than the limit."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    slug = "queue-timeout"
    title = "The request waited too long"


class RequestAbandoned(Exception):
    """The client closed its connection while its request waited."""

    status = 499  # nginx's "client closed request": nobody receives it, but the metrics count it


class InvalidModel(Exception):
    """The weights file can't be served; the message says what is wrong with it."""
