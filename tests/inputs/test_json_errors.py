"""The exact reader of JSON: it agrees with the fast one, and says what is wrong with anything else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from service.errors import InvalidBody, InvalidImage
from service.inputs import json_errors
from service.inputs.digits import SHAPE
from service.inputs.numbers import JSON, NumberReader

MAX_IMAGES = 256

anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=6) | st.just("image"), inner, max_size=4)
    ),
    max_leaves=20,
)

NUMBERS = (
    "1 0.5 -0 -0.0 1e-3 1E5 255 1e400 -1e400 4.9e-324 0.1e1 1.0000000000000001 18446744073709551616 01 .5"
)
NO_NUMBERS = 'true null NaN "0" [0] [] {} -'


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    """A body with one image or several, almost as they should be: a few pixels and a few bytes are others."""
    pixels = ["0"] * (784 + draw(st.sampled_from([0, 0, 0, 0, -1, 1, 28])))
    for token in draw(st.lists(st.sampled_from((NUMBERS + " " + NO_NUMBERS).split()), max_size=3)):
        pixels[draw(st.integers(0, len(pixels) - 1))] = token
    between = draw(st.sampled_from([",", ", ", " ,\n"]))
    rows = [pixels[start : start + 28] for start in range(0, len(pixels), 28)]
    flat = f"[{between.join(pixels)}]"
    nested = f"[{between.join(f'[{between.join(row)}]' for row in rows)}]"
    one = draw(st.sampled_from([flat, flat, nested, f"[{flat}]"]))
    key = draw(st.sampled_from(["image", "image", "images", "im\\u0061ge", "other"]))
    many = "[" + ",".join([one] * draw(st.integers(0, 2))) + "]"
    more = draw(st.sampled_from(["", "", "", ',"image":0', ',"x":[1]', ","]))
    body = bytearray(f'{{"{key}": {many if key == "images" else one}{more}}}'.encode())
    for place in draw(st.lists(st.integers(0, len(body) - 1), max_size=2)):
        edit = draw(st.sampled_from([b"", b"]", b"[", b'"', b" ", b"0", b",", b"\xff", b"\x00", b"}"]))
        body[place : place + draw(st.integers(0, 1))] = edit
    return bytes(body)


@given(nearly_right())
@settings(max_examples=400)
def test_what_the_fast_reader_accepts_the_exact_one_reads_alike(body):
    """It may reject anything; what it accepts has to be the same image, or the same images."""
    pixels = NumberReader(SHAPE, MAX_IMAGES)._read_plain(body)
    if pixels is not None:
        np.testing.assert_array_equal(pixels, json_errors.read(body, SHAPE, MAX_IMAGES))
    event("none" if pixels is None else f"{pixels.ndim} dimensions")


@given(anything)
@settings(max_examples=300)
def test_any_json_is_an_image_or_a_refusal(value):
    reader = NumberReader(SHAPE, MAX_IMAGES)

    try:
        decoded = reader.read(JSON, json.dumps(value).encode())
    except (InvalidBody, InvalidImage) as refusal:
        assert refusal.detail
    else:
        assert decoded.shape == (784,)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": [{"b": [1], "b": [1]}]}',
        b'{"a": [1, {"b": 1, "b": 2}]}',
        b'[[0, {"a": 1, "\\u0061": 2}]]',
    ],
)
def test_a_key_that_is_there_twice_is_found_wherever_it_is(body):
    with pytest.raises(InvalidBody, match="duplicate keys are not allowed"):
        json_errors.parse(body, SHAPE, MAX_IMAGES)


@pytest.mark.parametrize("digits", [5_000, 500_000])
def test_a_number_of_too_many_digits_is_refused_in_a_clients_words(digits):
    with pytest.raises(InvalidBody) as refusal:
        json_errors.parse(b"[%s]" % (b"1" * digits), SHAPE, MAX_IMAGES)

    assert str(refusal.value) == "the body has a number of over 4300 digits; pixels are numbers in 0..1"


@given(anything)
def test_documents_are_read_as_json_reads_them(document):
    body = json.dumps(document).encode()
    try:
        parsed = json_errors.parse(body, SHAPE, MAX_IMAGES)
    except InvalidBody as error:
        assert "NaN" in str(error) or "Infinity" in str(error) or "UTF-8" in str(error)
    else:
        assert parsed == json.loads(body)
        assert repr(parsed) == repr(json.loads(body))
