"""The table of values in the chart's README, made from the comments in values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

START, END = "<!-- values: made by `python -m tools.helm docs` -->", "<!-- end of values -->"


class Value(NamedTuple):
    """One key of values.yaml."""

    path: str
    default: Any
    comment: str
    is_group: bool


def values(text: str) -> Iterator[Value]:
    """Every key in the order of the file, groups before what is in them, with the comment above it."""
    lines = text.splitlines()

    def comment_above(line: int) -> str:
        found: list[str] = []
        while line > 0 and (match := re.match(r"\s*# ?(.*)", lines[line - 1])):
            found.insert(0, match[1])
            line -= 1
        return " ".join(found)

    # The nodes know their lines, the loaded mapping knows their values.
    def walk(node: yaml.MappingNode, loaded: dict[str, Any], prefix: str) -> Iterator[Value]:
        for key, child in node.value:
            path, default = f"{prefix}{key.value}", loaded[key.value]
            is_group = isinstance(default, dict) and bool(default)
            yield Value(path, default, comment_above(key.start_mark.line), is_group)
            if is_group:
                yield from walk(child, default, f"{path}.")

    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    yield from walk(root, yaml.safe_load(text), "")


def table(text: str) -> str:
    """The values as Markdown: a heading and a table for each group of the top level."""
    parts = ["| value | default | what it does |\n| --- | --- | --- |"]
    for value in values(text):
        comment = value.comment.replace("|", "\\|")
        if value.is_group:
            parts.append(f"| **`{value.path}`** | | {comment} |")
        else:
            parts.append(
                f"| `{value.path}` | `{json.dumps(value.default, ensure_ascii=False)}` | {comment} |"
            )
    return "\n".join(parts)


def updated(readme: str, text: str) -> str:
    """The README with its table of values made anew."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n{table(text)}\n\n{END}{after}"
