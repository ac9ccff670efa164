"""Time ways to turn a request body into float32[784], and an answer into JSON.

    python -m benchmarks.codec

Every decoder is checked against `json` and every encoder's answer is parsed again before anything is timed.
A call decodes all 256 bodies, or encodes all 256 answers; the tables give microseconds for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
import simdjson
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from benchmarks.bodies import PIXELS, json_body, load_digits
from benchmarks.report import README, replace_section
from benchmarks.timing import Timer, interleave, parser, table, timer

Pixels = NDArray[np.float32]
Decode = Callable[[bytes], Pixels]
Answer = tuple[int, float, list[float]]
Encode = Callable[[Answer], bytes]

Item = TypeVar("Item")
NAME, VERSION = "mnist-cnn", "0123456789ab"


class Image(msgspec.Struct):
    """The request as msgspec checks it."""

    image: list[float]


class ImageModel(BaseModel):
    """The request as pydantic checks it."""

    image: list[float]


def decoders() -> dict[str, Decode]:
    """Name every way from JSON bytes to float32[784]."""
    image_decoder = msgspec.json.Decoder(Image)
    parser: Any = simdjson.Parser()
    row = np.empty(PIXELS, np.float32)

    def simd_get(body: bytes) -> Pixels:
        return np.frombuffer(parser.parse(body)["image"].as_buffer(of_type="d"), np.float64).astype(
            np.float32
        )

    def simd_pointer_into_row(body: bytes) -> Pixels:
        row[:] = np.frombuffer(parser.parse(body).at_pointer("/image").as_buffer(of_type="d"))
        return row

    def simd_get_into_row(body: bytes) -> Pixels:
        row[:] = np.frombuffer(parser.parse(body)["image"].as_buffer(of_type="d"))
        return row

    def orjson_into_row(body: bytes) -> Pixels:
        row[:] = orjson.loads(body)["image"]
        return row

    return {
        "json + np.array": lambda body: np.array(json.loads(body)["image"], np.float32),
        "json + pydantic + torch.tensor": lambda body: torch.tensor(
            ImageModel(**json.loads(body)).image, dtype=torch.float32
        ).numpy(),
        "pydantic model_validate_json + torch.tensor": lambda body: torch.tensor(
            ImageModel.model_validate_json(body).image, dtype=torch.float32
        ).numpy(),
        "orjson + np.array": lambda body: np.array(orjson.loads(body)["image"], np.float32),
        "orjson + np.fromiter": lambda body: np.fromiter(orjson.loads(body)["image"], np.float32, PIXELS),
        "orjson into a row": orjson_into_row,
        "msgspec typed + np.array": lambda body: np.array(image_decoder.decode(body).image, np.float32),
        "msgspec typed + np.fromiter": lambda body: np.fromiter(
            image_decoder.decode(body).image, np.float32, PIXELS
        ),
        "pysimdjson as_buffer": simd_get,
        "pysimdjson as_buffer into a row": simd_get_into_row,
        "pysimdjson at_pointer, as_buffer into a row": simd_pointer_into_row,
        "np.fromstring (no JSON parser)": lambda body: np.fromstring(
            body[10:-2], np.float32, PIXELS, sep=","
        ),
    }


def encoders() -> dict[str, Encode]:
    """Name every way from an answer to JSON bytes."""
    encode = msgspec.json.Encoder().encode
    template = ('{"digit":%d,"confidence":%r,"probabilities":[' + ",".join(["%r"] * 10) + "]}").replace(
        "]}", f'],"model":{{"name":"{NAME}","version":"{VERSION}"}}}}'
    )
    rounded = template.replace("%r", "%.6f")
    model = {"name": NAME, "version": VERSION}
    fragment = orjson.Fragment(orjson.dumps(model))

    def document(answer: Answer) -> dict[str, object]:
        digit, confidence, probabilities = answer
        return {"digit": digit, "confidence": confidence, "probabilities": probabilities, "model": model}

    def with_fragment(answer: Answer) -> bytes:
        digit, confidence, probabilities = answer
        return orjson.dumps(
            {"digit": digit, "confidence": confidence, "probabilities": probabilities, "model": fragment}
        )

    return {
        "json": lambda answer: json.dumps(document(answer)).encode(),
        "orjson": lambda answer: orjson.dumps(document(answer)),
        "orjson, model as a fragment": with_fragment,
        "msgspec": lambda answer: encode(document(answer)),
        "% formatting, every digit (%r)": lambda answer: (
            template % (answer[0], answer[1], *answer[2])
        ).encode(),
        "% formatting, six decimals": lambda answer: (rounded % (answer[0], answer[1], *answer[2])).encode(),
    }


def answers(count: int) -> list[Answer]:
    """Make answers as a classifier gives them: probabilities of six decimals, one of them large."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 6, (count, 10)).astype(np.float32)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float64).round(6)
    return [(int(row.argmax()), float(row.max()), row.tolist()) for row in probabilities]


def main(arguments: Sequence[str] | None = None) -> None:
    """Check and time every decoder and encoder, and print the two tables."""
    command = parser("benchmarks.codec", __doc__, rounds=7, seconds=0.3, per="candidate")
    options = command.parse_args(arguments)
    torch.set_num_threads(1)

    bodies = [json_body(image) for image in load_digits(options.data).images]
    decode = decoders()
    for body in bodies:
        expected = np.array(json.loads(body)["image"], np.float32)
        for name, candidate in decode.items():
            if not np.array_equal(candidate(body), expected):
                raise SystemExit(f"{name} reads other pixels than json")
    given = answers(len(bodies))
    encode = encoders()
    for answer in given:
        for name, encoder in encode.items():
            read = json.loads(encoder(answer))
            if (read["digit"], read["confidence"], read["probabilities"]) != answer:
                raise SystemExit(f"{name} writes another answer: {read}")

    timed = interleave(
        {name: _over(candidate, bodies) for name, candidate in decode.items()},
        rounds=options.rounds,
        seconds=options.seconds,
    )
    mean = sum(map(len, bodies)) / len(bodies)
    decoding = table(f"one JSON body ({mean:.0f} bytes on average) to float32[784]", timed, per=len(bodies))
    timed = interleave(
        {name: _over(candidate, given) for name, candidate in encode.items()},
        rounds=options.rounds,
        seconds=options.seconds,
    )
    sizes = {f"{name} ({len(encode[name](given[0]))} bytes)": taken for name, taken in timed.items()}
    text = decoding + "\n\n" + table("one answer to JSON", sizes, per=len(given))
    print(text)
    if options.write:
        replace_section(README, "codec", text)


def _over(function: Callable[[Item], object], items: Sequence[Item]) -> Timer:
    def run() -> None:
        for item in items:
            function(item)

    return timer(run)


if __name__ == "__main__":
    main()
