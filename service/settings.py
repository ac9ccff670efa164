"""Every setting of the service, read once from the environment into a frozen object."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

BUNDLED_MODEL = Path(__file__).with_name("weights") / "mnist_cnn.pt"


# Settings of earlier versions, and what to do without them.
REMOVED = {"WORKERS": "each pod runs one process; add replicas instead"}

# What a name ends with that says its unit; in a misspelt one it may be missing, or be another.
UNIT = re.compile(r"_(SECONDS|SECS?|S|MS|MILLISECONDS|MINUTES|BYTES|KI?B|MI?B|PIXELS|SIZE|COUNT)$")
# The variables by which Kubernetes tells a pod of every Service in its namespace.
SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_.+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")
LEAST_SIMILARITY, LEAST_LENGTH = 0.87, 6  # one wrong letter in eight, and never the likes of POST


class InvalidSetting(ValueError):
    """An environment variable holds something other than its setting takes."""


def _setting(default: Any, help_: str, low: Any = None, high: Any = None, choices: Sequence[str] = ()) -> Any:
    """Declare a setting: a number from ``low`` to ``high``, one of the ``choices``, a path or any text."""
    return field(default=default, metadata={"help": help_, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set; each field's environment variable is its name in capitals."""

    # A container serves its pod's network.
    host: str = _setting("0.0.0.0", "address to listen on")  # noqa: S104 # nosec B104
    port: int = _setting(3000, "TCP port to listen on; 0 picks a free one", 0, 65535)
    model_path: Path = _setting(BUNDLED_MODEL, "weights file to serve, or the folder with it")
    model_name: str = _setting("", "name under which the model is served; empty: what its weights file says")
    model_sha256: str = _setting("", "refuse a weights file with any other SHA-256 (hex); empty: take any")
    model_min_accuracy: float | None = _setting(
        None, "refuse a weights file whose card says a lower test accuracy, or none; empty: take any", 0, 1
    )
    reload_interval_seconds: float = _setting(
        5.0, "seconds between checks of the weights file where no file events arrive", 0.1, 3600
    )
    cpu_limit: float | None = _setting(
        None, "CPUs this container may use; empty: what its control group says", 0.001, 1024
    )
    max_model_bytes: int = _setting(1 << 30, "size of a weights file, at most", 1024, 1 << 40)
    load_timeout_seconds: float = _setting(
        60.0, "seconds that a weights file may take to be read, loaded and checked", 0.1, 3600
    )
    num_threads: int | None = _setting(
        None,
        "threads that compute one batch; empty: one less than there are CPUs, 1 to 4, "
        "or what measurement finds best for a model that takes over a millisecond",
        1,
        1024,
    )
    max_batch_size: int | None = _setting(
        None, "images in one forward pass, at most; empty: what measurement finds best, up to 64", 1, 1024
    )
    max_queue_size: int = _setting(1024, "images that may wait for the model, at most", 1, 1_000_000)
    queue_timeout_seconds: float = _setting(
        2.0, "seconds a request may wait for its answer before it gets a 504", 0.01, 3600
    )
    stall_timeout_seconds: float = _setting(
        10.0, "seconds one batch may run before /healthz fails", 0.1, 3600
    )
    max_images_per_request: int = _setting(256, "images in one request, at most", 1, 100_000)
    max_picture_pixels: int = _setting(
        1 << 22,
        "width times height of a picture, at most; of a JPEG 16 times that, or 4 if it is progressive",
        64,
        1 << 30,
    )
    max_picture_bytes: int = _setting(
        1 << 25, "size of a picture's file, or of the form with it, at most", 1024, 1 << 30
    )
    max_body_bytes: int | None = _setting(
        None,
        "size of any other request body, at most; empty: 1 MiB, or room for four images as JSON",
        1024,
        1 << 30,
    )
    api_keys_file: str = _setting(
        "", "file with API keys, one on each line, that predictions then need; empty: they need none"
    )
    header_timeout_seconds: float = _setting(
        10.0, "seconds that the headers of a request may take to arrive", 0.1, 3600
    )
    body_timeout_seconds: float = _setting(
        30.0, "seconds that its body may take, and that its answer may wait to be read", 0.1, 3600
    )
    keep_alive_seconds: int = _setting(75, "seconds an idle connection stays open", 1, 3600)
    connection_max_age_seconds: float = _setting(
        60.0, "seconds after which a connection ends with its next answer, half to whole; 0: never", 0, 86400
    )
    max_requests_per_connection: int = _setting(
        0, "requests after which a connection ends, half to whole; 0: any number", 0, 1_000_000_000
    )
    shutdown_timeout_seconds: int = _setting(
        20, "seconds that requests in flight get to finish after SIGTERM", 1, 3600
    )
    log_level: str = _setting(
        "info", "least severe message that is logged", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "auto", "json, text, or auto: text on a terminal, JSON elsewhere", choices=("auto", "json", "text")
    )
    # OpenTelemetry's own names; its SDK reads further ones, such as OTEL_TRACES_SAMPLER.
    otel_exporter_otlp_endpoint: str = _setting(
        "", "URL of an OTLP receiver over HTTP that traces go to; empty: no traces"
    )
    otel_exporter_otlp_traces_endpoint: str = _setting(
        "", "the same with its path, such as http://collector:4318/v1/traces; it prevails"
    )
    access_log_sample: float = _setting(
        0.0, "share of requests that get a log line: 0 none, 0.01 one in a hundred, 1 all", 0, 1
    )

    @property
    def traces_endpoint(self) -> str:
        """The URL that traces are posted to, or nothing."""
        base = self.otel_exporter_otlp_endpoint
        return self.otel_exporter_otlp_traces_endpoint or (base and f"{base.rstrip('/')}/v1/traces")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables; an empty variable counts as unset.

        Raises:
            InvalidSetting: names the variable, its value and what was expected.
        """
        values = {}
        for setting in fields(cls):
            name = setting.name.upper()
            text = environ.get(name, "").strip()
            if text:
                values[setting.name] = _parse(name, text, str(setting.type), setting.metadata)
        return cls(**values)


def removed_settings(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each environment variable that was a setting once and is set still."""
    return [
        f"{name} is no longer a setting: {advice}"
        for name, advice in REMOVED.items()
        if environ.get(name, "").strip()
    ]


def misspelt_settings(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each environment variable that is nearly the name of a setting, but none."""
    names = [setting.name.upper() for setting in fields(Settings)]
    # OpenTelemetry has some forty variables, which are alike.
    own = [name for name in names if not name.startswith("OTEL_")]
    known = {spelling: name for name in own for spelling in _spellings(name)}
    lines = []
    for name in set(environ).difference(names, REMOVED):
        meant = _meant(name, known)
        if meant and environ[name].strip():
            lines.append(f"{name} is not a setting and has no effect; did you mean {meant}?")
    return sorted(lines)


def _meant(name: str, known: Mapping[str, str]) -> str | None:
    """Return the setting that a variable is nearly called after, if any; ``known`` is by spelling."""
    if SERVICE_LINK.search(name):
        return None
    for spelling in _spellings(name.upper()):
        if matches := _close_matches(spelling, known):
            return known[matches[0]]
    return None


def _spellings(name: str) -> Iterator[str]:
    """Yield a name without underscores, and without its unit if more than a word is left."""
    yield name.replace("_", "")
    stem = UNIT.sub("", name)
    if "_" in stem and stem != name:
        yield stem.replace("_", "")


def _close_matches(spelling: str, known: Collection[str]) -> list[str]:
    if spelling in known:
        return [spelling]
    # A slip of the pen is seldom in the first letter, and OMP_NUM_THREADS is another program's setting.
    likely = [each for each in known if each[0] == spelling[:1] and len(each) >= LEAST_LENGTH]
    return get_close_matches(spelling, likely, 1, LEAST_SIMILARITY)


def describe_settings() -> str:
    """Return a line for each setting: its name, its default, and what it is."""
    width = max(len(setting.name) for setting in fields(Settings)) + 1
    lines = []
    for setting in fields(Settings):
        default = "" if setting.default in (None, "") else f" ({setting.default})"
        lines.append(f"  {setting.name.upper():{width}}{setting.metadata['help']}{default}")
    return "\n".join(lines)


def _parse(name: str, text: str, type_: str, metadata: Mapping[str, Any]) -> Any:
    if type_ == "Path":
        return Path(text)
    if type_ == "str":
        return _parse_text(name, text, metadata["choices"])
    number, kind = (float, "a number") if type_.startswith("float") else (int, "a whole number")
    low, high = metadata["low"], metadata["high"]
    try:
        value = number(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise InvalidSetting(f"{name} is {text!r}; expected {kind} from {low} to {high}")
    return value


def _parse_text(name: str, text: str, choices: Collection[str]) -> str:
    if choices and text.lower() not in choices:
        raise InvalidSetting(f"{name} is {text!r}; expected one of: {', '.join(choices)}")
    if name.endswith("_ENDPOINT") and not text.startswith(("http://", "https://")):
        raise InvalidSetting(f"{name} is {text!r}; expected a URL such as http://collector:4318")
    return text.lower() if choices else text
