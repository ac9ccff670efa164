"""JSON parsed in steps, between which other threads have their turn.

``json`` reads a megabyte in one call, for 20 ms and more in which no other thread runs. An event loop that
has bodies to read needs the interpreter at each of its sockets, and would wait for it as long each time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

from service.inputs.turns import let_others_run

WHITESPACE = re.compile(r"[ \t\n\r]*")
# Values that are neither lists, objects nor texts, and the commas between them.
PLAIN_VALUES = re.compile(r'[^\[\]{}"]{0,8192}')


class StepwiseDecoder(json.JSONDecoder):
    """Decodes what ``json.JSONDecoder`` does, with the same values and the same errors.

    Lists are taken apart here and objects by the scanner that ``json`` has in Python; the values of a list
    that are neither go to its scanner in C, some thousand at a time.
    """

    def __init__(self, **hooks: Any) -> None:
        super().__init__(**hooks)
        self._plain = json.JSONDecoder(**hooks)
        self.parse_array = self._parse_list
        self.scan_once = py_make_scanner(self)

    def _parse_list(
        self, begin: tuple[str, int], scan_once: Callable[[str, int], tuple[Any, int]]
    ) -> tuple[list[Any], int]:
        """Return the values of a list, given where it begins behind its bracket, and where it ends."""
        text, at = begin
        values: list[Any] = []
        while True:
            let_others_run()
            at = _skip_whitespace(text, at)
            end = PLAIN_VALUES.match(text, at).end()  # type: ignore[union-attr]
            if text[end : end + 1] == "]":
                if values or end > at:
                    values += self._parse_plain(text, at, end)
                return values, end + 1
            if (comma := text.rfind(",", at, end)) >= 0:
                values += self._parse_plain(text, at, comma)
                at = comma + 1
                continue
            try:
                value, at = scan_once(text, at)
            except StopIteration as error:
                raise json.JSONDecodeError("Expecting value", text, error.value) from None
            values.append(value)
            at = _skip_whitespace(text, at)
            if text[at : at + 1] == "]":
                return values, at + 1
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            at += 1

    def _parse_plain(self, text: str, start: int, end: int) -> list[Any]:
        """Return the plain values between two places."""
        if start == end:
            raise json.JSONDecodeError("Expecting value", text, end)
        try:
            values: list[Any] = self._plain.raw_decode(f"[{text[start:end]}]")[0]
        except json.JSONDecodeError as error:
            raise json.JSONDecodeError(error.msg, text, start + error.pos - 1) from None
        return values


def _skip_whitespace(text: str, at: int) -> int:
    return WHITESPACE.match(text, at).end()  # type: ignore[union-attr]
