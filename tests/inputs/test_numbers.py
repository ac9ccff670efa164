"""Numbers as JSON or as raw bytes become an image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ServiceError
from service.inputs.digits import SHAPE
from service.inputs.numbers import BINARY, JSON, NumberReader

MAX_IMAGES = 256

pixel = st.one_of(st.integers(0, 1), st.floats(0, 1, width=32))
image = st.lists(pixel, min_size=1, max_size=40).map(lambda some: (some * 784)[:784])


@given(image)
@settings(max_examples=25)
def test_both_forms_decode_to_what_was_sent(pixels):
    reader = NumberReader(SHAPE, MAX_IMAGES)
    nested = np.array(pixels, dtype=object).reshape(28, 28).tolist()

    for form in (pixels, nested):
        np.testing.assert_array_equal(
            reader.read(JSON, json.dumps({"image": form}).encode()), np.array(pixels, float)
        )


def test_the_parser_reads_both_forms_of_one_image_and_of_many():
    """The exact reader would take them, too, at ten times the cost."""
    flat = [0.5] * 784
    nested = [[0.5] * 28] * 28

    for document, shape in (
        ({"image": flat}, (784,)),
        ({"image": nested}, (784,)),
        ({"images": [flat, nested, flat]}, (3, 784)),
    ):
        pixels = NumberReader(SHAPE, MAX_IMAGES)._read_plain(json.dumps(document).encode())
        assert pixels is not None
        assert pixels.shape == shape


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_refused_and_leave_the_reader_usable(body):
    reader = NumberReader(SHAPE, MAX_IMAGES)

    for media_type in (JSON, BINARY):
        with pytest.raises(ServiceError):
            reader.read(media_type, body)

    assert reader.read(JSON, b'{"image": [%s0]}' % (b"0," * 783)).shape == (784,)


def test_binary_pixels_are_scaled_like_json_ones():
    pixels = np.arange(784, dtype=np.uint8)

    decoded = NumberReader(SHAPE, MAX_IMAGES).read(BINARY, pixels.tobytes())

    np.testing.assert_array_equal(decoded.astype(np.float32), pixels.astype(np.float32) / np.float32(255))
