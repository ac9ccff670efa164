"""Every error of the service, as data: this module imports the standard library and nothing else.

    ServiceError                    a refusal that the client may read
    ├── InvalidBody            400  the body is not what its content type promises
    ├── InvalidRequest         400  not HTTP
    ├── Unauthorized           401  no API key, or an unknown one
    ├── UnknownModel           404  another model, or another version, than the one that is served
    │   └── UnknownVersion     404  another version of it, where a protocol tells that apart
    ├── UnsupportedExtension   404  an operation of another server's protocol that is not offered
    ├── UnsupportedMethod      405  what would manage a server of many models
    ├── RequestTimeout         408  the request did not arrive in time
    ├── BodyTooLarge           413  more bytes than the limit
    ├── PictureTooLarge        413  more pixels than the limit
    ├── TooManyImages          413  more images in one request than the limit
    ├── UriTooLong             414  more bytes than any URL of this service has
    ├── UnsupportedMediaType   415  the route does not take this content type
    ├── UnsupportedEncoding    415  the body is compressed in a way that is not read here
    ├── InvalidImage           422  well-formed, but not an image that the model takes
    ├── BlankPicture           422  a picture with nothing on it
    ├── InvalidOption          422  a query parameter has a value that it does not take
    ├── HeadersTooLarge        431  more bytes or lines before the body than the limit
    ├── QueueFull              503  too many requests wait already
    ├── OutOfMemory            503  not enough memory for this request now
    ├── ModelUnavailable       503  the model is not running
    └── QueueTimeout           504  the request waited too long for the model
    RequestAbandoned           499  the client closed its connection; nobody reads the answer
    InvalidModel                    the weights file can't be served

``service.api.problems`` makes responses of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar


class ServiceError(Exception):
    """A refusal that the client may read: what was found, where, and what to do.

    ``pointer`` is a JSON Pointer (RFC 6901) to the offending element, where there is one; ``slug`` names the
    problem's type after its class: ``QueueFull`` is ``queue-full``.
    """

    status: ClassVar[HTTPStatus]
    slug: ClassVar[str]
    title: ClassVar[str]
    retry_after_seconds: ClassVar[int | None] = None
    headers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        cls.slug = re.sub(r"\B([A-Z])", r"-\1", cls.__name__).lower()

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


class InvalidBody(ServiceError):
    status = HTTPStatus.BAD_REQUEST
    title = "The body can't be read"


class InvalidRequest(ServiceError):
    status = HTTPStatus.BAD_REQUEST
    title = "Not an HTTP request"


class Unauthorized(ServiceError):
    status = HTTPStatus.UNAUTHORIZED
    title = "An API key is needed"
    headers: ClassVar[Mapping[str, str]] = {"www-authenticate": 'Bearer realm="rust-ml-api"'}


class UnknownModel(ServiceError):
    status = HTTPStatus.NOT_FOUND
    title = "No such model"


class UnknownVersion(UnknownModel):
    title = "No such version of the model"


class UnsupportedExtension(ServiceError):
    status = HTTPStatus.NOT_FOUND
    title = "An extension that is not offered"


class UnsupportedMethod(ServiceError):
    status = HTTPStatus.METHOD_NOT_ALLOWED
    title = "A method that is not offered"
    headers: ClassVar[Mapping[str, str]] = {"allow": "GET"}


class RequestTimeout(ServiceError):
    status = HTTPStatus.REQUEST_TIMEOUT
    title = "The request came too slowly"


class BodyTooLarge(ServiceError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "The body is too large"


class PictureTooLarge(ServiceError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "The picture has too many pixels"


class TooManyImages(ServiceError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "Too many images in one request"


class UriTooLong(ServiceError):
    status = HTTPStatus.REQUEST_URI_TOO_LONG
    title = "The URL is too long"


class UnsupportedMediaType(ServiceError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Unsupported content type"


class UnsupportedEncoding(ServiceError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Unsupported content encoding"
    headers: ClassVar[Mapping[str, str]] = {"accept-encoding": "gzip, deflate"}


class InvalidImage(ServiceError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Not an image that the model takes"


class BlankPicture(ServiceError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "The picture is blank"


class InvalidOption(ServiceError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "An option has a wrong value"


class HeadersTooLarge(ServiceError):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    title = "The headers are too large"


class QueueFull(ServiceError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "The service is at capacity"
    retry_after_seconds = 1


class OutOfMemory(ServiceError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "The service is short of memory"
    retry_after_seconds = 1


class ModelUnavailable(ServiceError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "The model is not available"
    retry_after_seconds = 1


class QueueTimeout(ServiceError):
    status = HTTPStatus.GATEWAY_TIMEOUT
    title = "The request waited too long"


class RequestAbandoned(Exception):
    """The client closed its connection while its request waited."""

    status = 499  # nginx's "client closed request": nobody receives it, but the metrics count it


class InvalidModel(Exception):
    """The weights file can't be served; the message says what is wrong with it."""
