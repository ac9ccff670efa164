"""API keys: a file with one on each line, which predictions then need; the other routes stay open.

The file is usually a mounted Secret. It is read again when it changes, so that keys come and go without a
restart: add the new key, let every client change over, remove the old one.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import logging
import time
from collections.abc import Iterable
from pathlib import Path

from service.errors import Unauthorized
from service.files import read_file
from service.settings import InvalidSetting

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
MAX_FILE_BYTES = 1 << 20
PREFIX_BYTES = 16


class ApiKeys:
    """The keys in a file, which is checked once a second at most, and only when a request comes."""

    def __init__(self, path: Path) -> None:
        """Read the keys.

        Raises:
            InvalidSetting: the file can't be read, or has no key.
        """
        self._path = path
        try:
            content = read_file(path, MAX_FILE_BYTES)
            self._digests = _digests(_keys(content))
        except (OSError, ValueError) as error:
            raise InvalidSetting(
                f"API_KEYS_FILE is {str(path)!r}, which is no file of keys: {error}"
            ) from None
        self._read = self._seen = hashlib.sha256(content).digest()
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
        # Looked up, so that many keys cost what one does, and compared in constant time.
        if not hmac.compare_digest(self._digests.get(digest[:PREFIX_BYTES], b""), digest):
            raise Unauthorized("this API key is not known")

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        try:
            content = read_file(self._path, MAX_FILE_BYTES)
            last_seen, self._seen = self._seen, hashlib.sha256(content).digest()
            # A file that is still being written has changed in the last second, and changes until the next.
            is_stable = time.time() - self._path.stat().st_mtime >= CHECK_SECONDS or self._seen == last_seen
            if self._seen == self._read or not is_stable:
                return
            self._read = self._seen
            self._digests = _digests(_keys(content))
        except (OSError, ValueError) as error:
            # A lost file must neither refuse all requests nor let all pass.
            logger.warning("could not reload the API keys; the current ones stay: %s: %s", self._path, error)
            return
        logger.info("%d API keys from %s", len(self._digests), self._path)


def read_keys(path: Path) -> list[bytes]:
    """Return the keys in a file: one on each line; lines that begin with # are comments.

    Raises:
        OSError: it can't be read, or is no regular file.
        ValueError: it has no key, is not UTF-8, or too large.
    """
    try:
        return _keys(read_file(path, MAX_FILE_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _keys(content: bytes) -> list[bytes]:
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes")
    if b"\0" in content or not _is_utf8(content):
        raise ValueError("it is not UTF-8 text; write it as UTF-8, with a key on each line")
    lines = (line.strip() for line in content.removeprefix(codecs.BOM_UTF8).splitlines())
    keys = [line for line in lines if line and not line.startswith(b"#")]
    if not keys:
        raise ValueError("there is no API key in it; write one on each line")
    return keys


def _digests(keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the SHA-256 of each key, by its first bytes."""
    digests = (hashlib.sha256(key).digest() for key in keys)
    return {digest[:PREFIX_BYTES]: digest for digest in digests}


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return key.strip()
    return None
