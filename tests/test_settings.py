"""Settings: read once, from a mapping, with a sentence for every mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import BUNDLED_MODEL, InvalidSetting, Settings, misspelt_settings


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
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            "OTEL_EXPORTER_OTLP_ENDPOINT is 'collector:4318'; expected a URL such as http://collector:4318",
        ),
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


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, "http://a:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://a/otlp/"}, "https://a/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/in"}, "http://b/in"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/"},
            "http://b/",
        ),
    ],
)
def test_traces_go_where_opentelemetry_says(environ, url):
    assert Settings.from_env(environ).traces_endpoint == url


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAX_BATCHSIZE", "MAX_BATCH_SIZE"),
        ("max_batch_size", "MAX_BATCH_SIZE"),
        ("MAX_BATCH", "MAX_BATCH_SIZE"),
        ("MAX_BODY_SIZE", "MAX_BODY_BYTES"),
        ("QUEUE_TIMEOUT", "QUEUE_TIMEOUT_SECONDS"),
        ("QUEUE_TIMEOUT_MS", "QUEUE_TIMEOUT_SECONDS"),
        ("HEADERS_TIMEOUT_SECONDS", "HEADER_TIMEOUT_SECONDS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("LOG_FROMAT", "LOG_FORMAT"),
        ("MODEL_PTH", "MODEL_PATH"),
        ("MODEL_MINIMUM_ACCURACY", "MODEL_MIN_ACCURACY"),
        ("API_KEY_FILE", "API_KEYS_FILE"),
        ("NUM_THREAD", "NUM_THREADS"),
        ("port", "PORT"),
    ],
)
def test_a_misspelt_setting_is_named(name, meant):
    assert misspelt_settings({name: "1"}) == [
        f"{name} is not a setting and has no effect; did you mean {meant}?"
    ]


@pytest.mark.parametrize(
    "setting", [name.upper() for name in Settings.__dataclass_fields__ if not name.startswith("otel_")]
)
def test_any_setting_without_its_underscores_is_named_and_the_right_name_is_not(setting):
    assert misspelt_settings({setting: "1"}) == []
    if "_" in setting:
        [line] = misspelt_settings({setting.replace("_", ""): "1"})
        assert line.endswith(f"did you mean {setting}?")


@pytest.mark.parametrize(
    "name",
    [
        *("_", "PATH", "HOME", "HOSTNAME", "LOGNAME", "PYTHONPATH", "POST", "http_proxy"),
        *("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT"),
        *("MODEL_ENV", "MODEL_DIR", "MODEL_ID", "MODEL_VERSION", "MODEL_STORE", "MAX_MODEL_LEN"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUM_WORKERS", "CPU_REQUEST"),
        *("HTTP_PORT", "SERVER_PORT", "METRICS_PORT", "API_KEY", "LOG_DIR", "ACCESS_LOG", "WORKERS"),
        *("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT_HTTPS", "KUBERNETES_PORT_443_TCP_ADDR"),
        # What Kubernetes sets for a Service called rust-ml-api, or max-batch-size, or model-path.
        *("RUST_ML_API_SERVICE_HOST", "RUST_ML_API_SERVICE_PORT", "RUST_ML_API_SERVICE_PORT_HTTP"),
        *("RUST_ML_API_PORT", "RUST_ML_API_PORT_80_TCP_PROTO", "MAX_BATCH_SIZE_SERVICE_HOST"),
        *("MAX_REQUESTS_PER_CONNECTION_PORT", "MAX_REQUESTS_PER_CONNECTION_PORT_80_TCP", "MODEL_PATH_PORT"),
    ],
)
def test_a_variable_of_another_program_is_not_named(name):
    assert misspelt_settings({name: "1"}) == []


def test_an_empty_variable_is_not_named():
    assert misspelt_settings({"MAX_BATCHSIZE": " "}) == []
