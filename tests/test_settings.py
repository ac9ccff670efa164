"""Settings: read once, from a mapping, with a sentence for every mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import BUNDLED_MODEL, InvalidSetting, Settings


def test_an_empty_environment_gives_the_defaults():
    settings = Settings.from_env({"PATH": "/bin", "PORT": " "})

    assert (settings.host, settings.port, settings.model_path) == ("0.0.0.0", 3000, BUNDLED_MODEL)
    assert settings.num_threads is None


def test_every_kind_of_value_is_read():
    environ = {
        "PORT": "8080",
        "QUEUE_TIMEOUT_SECONDS": "0.5",
        "MODEL_PATH": "/models/new.pt",
        "LOG_LEVEL": "DEBUG",
    }

    settings = Settings.from_env(environ)

    assert (settings.port, settings.queue_timeout_seconds) == (8080, 0.5)
    assert (settings.model_path, settings.log_level) == (Path("/models/new.pt"), "debug")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "http", "PORT is 'http'; expected a whole number from 0 to 65535"),
        ("PORT", "70000", "PORT is '70000'; expected a whole number from 0 to 65535"),
        ("MAX_BATCH_SIZE", "0", "MAX_BATCH_SIZE is '0'; expected a whole number from 1 to 1024"),
        (
            "QUEUE_TIMEOUT_SECONDS",
            "nan",
            "QUEUE_TIMEOUT_SECONDS is 'nan'; expected a number from 0.01 to 3600",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is 'xml'; expected one of: auto, json, text"),
    ],
)
def test_a_bad_value_is_named(name, value, message):
    with pytest.raises(InvalidSetting) as error:
        Settings.from_env({name: value})

    assert str(error.value) == message


def test_the_command_ends_with_one_line_on_a_bad_setting():
    ended = subprocess.run(
        [sys.executable, "-m", "service"], env={**os.environ, "PORT": "http"}, capture_output=True, text=True
    )

    assert ended.returncode == 1
    assert ended.stderr == "rust-ml-api: PORT is 'http'; expected a whole number from 0 to 65535\n"
