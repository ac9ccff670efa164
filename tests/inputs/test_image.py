"""The range check finds every pixel that is not a number in 0..1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.inputs.image import in_range


@given(st.floats(width=32))
@example(1.0)
@example(float(np.nextafter(np.float32(1), np.float32(2))))
@example(-0.0)
@example(float(-np.finfo(np.float32).smallest_subnormal))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_is_in_range_if_each_pixel_is(dtype, value):
    images = np.full((3, 784), 0.5, dtype)
    images[1, 100] = value

    assert in_range(images) == (0.0 <= value <= 1.0)
