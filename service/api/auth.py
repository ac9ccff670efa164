"""API keys: a file with one on each line, which predictions then need; the other routes stay open.

The file is usually a mounted Secret. It is read again when it changes, so that keys come and go without a
restart: add the new key, let every client change over, remove the old one.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Iterable
from pathlib import Path

from service.errors import Unauthorized
from service.settings import InvalidSetting

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0


class ApiKeys:
    """The keys in a file, which is checked once a second at most, and only when a request comes."""

    def __init__(self, path: Path) -> None:
        """Read the keys.

        Raises:
            InvalidSetting: the file can't be read, or has no key.
        """
        self._path = path
        try:
            self._digests = self._read()
        except (OSError, ValueError) as error:
            raise InvalidSetting(
                f"API_KEYS_FILE is {str(path)!r}, which is no file of keys: {error}"
            ) from None
        self._checked = time.monotonic()

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Let a request pass if its headers show a key: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``.

        Raises:
            Unauthorized: they show none, or none that is in the file.
        """
        self._reload()
        shown = _shown(headers)
        if shown is None:
            raise Unauthorized("send an API key, as Authorization: Bearer KEY or X-API-Key: KEY")
        digest = hashlib.sha256(shown).digest()
        # Every key is compared, each in constant time: how long a refusal takes reveals nothing.
        if not max([hmac.compare_digest(digest, known) for known in self._digests]):
            raise Unauthorized("this API key is not known")

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        try:
            digests = self._read()
        except (OSError, ValueError) as error:
            # A lost file must neither refuse all requests nor let all pass.
            logger.warning("could not reload the API keys; the current ones stay: %s: %s", self._path, error)
            return
        if digests != self._digests:
            self._digests = digests
            logger.info("%d API keys from %s", len(digests), self._path)

    def _read(self) -> list[bytes]:
        return [hashlib.sha256(key).digest() for key in read_keys(self._path)]


def read_keys(path: Path) -> list[bytes]:
    """Return the keys in a file: one on each line; lines that begin with # are comments.

    Raises:
        OSError: it can't be read.
        ValueError: there is none.
    """
    lines = (line.strip() for line in path.read_bytes().splitlines())
    keys = [line for line in lines if line and not line.startswith(b"#")]
    if not keys:
        raise ValueError(f"there is no API key in {path}; write one on each line")
    return keys


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return key.strip()
    return None
