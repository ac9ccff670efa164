"""What the options of ``python -m training.package`` say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import TrainingError

MAX_NAME_LENGTH = 100


def read_shape(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"([13])x(\d{1,4})x(\d{1,4})", text or "")
    if not found or "0" in found.groups():
        raise TrainingError(f"--input is {text!r}; expected channels x height x width, such as 3x224x224")
    channels, height, width = map(int, found.groups())
    return channels, height, width


def read_pictures(text: str, shape: Sequence[int]) -> dict[str, Any]:
    """Read ``letterbox``, ``digit``, or ``resize:256,crop:224,bicubic``."""
    method, *rest = (text or "letterbox").split(",")
    interpolation = rest.pop() if rest and ":" not in rest[-1] else "bilinear"
    if method in ("letterbox", "digit") and not rest:
        return {"method": method, "interpolation": interpolation}
    parts = [each.partition(":") for each in (method, *rest)]
    values = {key: value for key, _, value in parts}
    if not values.keys() <= {"resize", "crop"} or not all(map(str.isdigit, values.values())):
        raise TrainingError(f"--pictures is {text!r}; expected resize:256,crop:224 or letterbox")
    crop = int(values.get("crop", shape[1]))
    if (crop, crop) != tuple(shape[1:]):
        raise TrainingError(f"--pictures crops to {crop} x {crop}, but --input is {shape[1]} x {shape[2]}")
    resize = int(values.get("resize", crop))
    return {"method": "resize", "resize_size": resize, "crop_size": crop, "interpolation": interpolation}


def read_classes(text: str) -> list[str]:
    """Read a list (cat,dog), a file with a name on each line, or an ``index_to_name.json``."""
    path = Path(text)
    if path.suffix == ".json":
        return names_by_index(path.read_bytes())
    if path.exists():
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if "," in text:
        return [name.strip() for name in text.split(",")]
    raise TrainingError(f"--classes is {text!r}; expected a file, or names such as cat,dog")


def check_classes(names: Sequence[str]) -> None:
    """Refuse names by which an answer could not say what an image is."""
    if len(names) < 2:
        raise TrainingError(f"there is one class, {names[0]!r}; a classifier has two at least")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise TrainingError(f"{len(twice)} names of classes are there twice, such as {twice[0]!r}")
    for name in names:
        if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            raise TrainingError(
                f"the class {name[:40]!r} is no printable text of at most {MAX_NAME_LENGTH} characters"
            )


def names_by_index(content: bytes) -> list[str]:
    """Read ``{"0": "cat", "1": ["n02123045", "tabby"]}``, or a list of names.

    The names of ImageNet have two cranes and two maillots: what stands before such a name tells them apart.
    """
    try:
        names = json.loads(content)
    except ValueError as error:
        raise TrainingError(f"the names of the classes are no JSON: {error}") from None
    if isinstance(names, dict):
        names = names.get("object_type_names", names)  # as TorchServe's older examples have it
    if isinstance(names, dict):
        try:
            names = [names[str(index)] for index in range(len(names))]
        except KeyError as error:
            raise TrainingError(f"the names of the classes lack the index {error}") from None
    if not isinstance(names, list):
        raise TrainingError("the names of the classes are neither an object nor a list")
    lists = [name if isinstance(name, list) and name else [name] for name in names]
    count = Counter(str(each[-1]) for each in lists)
    return [" ".join(map(str, each if count[str(each[-1])] > 1 else each[-1:])) for each in lists]


def read_numbers(text: str, channels: int) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        raise TrainingError(f"{text!r} are not numbers such as 0.5,0.5,0.5") from None
    if len(numbers) not in (1, channels):
        raise TrainingError(f"{text!r} are {len(numbers)} numbers; the input has {channels} channels")
    return numbers * (channels // len(numbers))


def read_share(text: str, option: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise TrainingError(f"{option} is {text!r}; expected a number from 0 to 1, such as 0.97")
    return share
