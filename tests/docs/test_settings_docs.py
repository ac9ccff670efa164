"""docs/settings.md: its table is generated from the settings, and it says where the chart sets each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from service.settings import Settings
from tools import settings_docs

DOCUMENT = settings_docs.DOCUMENT.read_text()
VALUES = Path(__file__).parents[2] / "charts" / "rust-ml-api" / "values.yaml"
NAMES = {name.upper() for name in Settings.__dataclass_fields__}


def rows(text):
    """The settings that have a row in a table, by name, with the cells after it."""
    found = re.findall(r"^\| `([A-Z0-9_]+)` \|(.*)\|$", text, flags=re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in found}


def test_the_table_is_generated_from_the_settings():
    assert settings_docs.updated(DOCUMENT) == DOCUMENT, "run: make docs"


def test_an_old_table_is_replaced():
    old = f"Before.\n\n{settings_docs.START}\n\n| `PORT` | 80 |\n\n{settings_docs.END}\n\nAfter.\n"

    new = settings_docs.updated(old)

    assert new.startswith("Before.\n\n<!--")
    assert new.endswith("-->\n\nAfter.\n")
    assert "| 80 |" not in new
    assert settings_docs.updated(new) == new


@pytest.mark.parametrize(
    ("name", "default", "values"),
    [
        ("PORT", "`3000`", "a whole number from 0 to 65535"),
        ("QUEUE_TIMEOUT_SECONDS", "`2.0`", "a number from 0.01 to 3600"),
        ("CPU_LIMIT", "", "a number from 0.001 to 1024"),
        ("LOG_LEVEL", "`info`", "`debug`, `info`, `warning`, `error`"),
        ("MODEL_PATH", "the bundled weights", "a path"),
        ("API_KEYS_FILE", "", "a path"),
        ("MODEL_SHA256", "", "text"),
    ],
)
def test_a_row_says_the_default_and_what_the_setting_takes(name, default, values):
    assert rows(settings_docs.table())[name][:2] == [default, values]


def test_a_removed_setting_has_a_row_too():
    assert rows(settings_docs.table())["WORKERS"] == ["each pod runs one process; add replicas instead"]


def test_each_setting_is_a_value_of_the_chart_or_comes_from_another_one():
    in_chart = {
        re.sub(r"(?=[A-Z])", "_", key).upper() for key in yaml.safe_load(VALUES.read_text())["settings"]
    }
    derived = rows(DOCUMENT.partition("## In the chart")[2].partition("## ")[0]).keys()

    assert derived.isdisjoint(in_chart)
    assert (in_chart | derived) & NAMES == NAMES
