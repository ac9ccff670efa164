"""The model card in a weights file: what it has to say."""

from __future__ import annotations

import pytest

from tests.support import weights
from tests.support.weights import refusal


@pytest.mark.parametrize(
    ("card", "message"),
    [
        pytest.param(b'{"name": "\xff"}', "that can't be read: 'utf-8' codec can't decode", id="utf-8"),
        pytest.param(b"{", "that can't be read: Expecting property name", id="cut short"),
        pytest.param(b"[" * 100_000, "that can't be read: maximum recursion depth exceeded", id="nested"),
        pytest.param(b'["mnist"]', "that is no object", id="list"),
        pytest.param(b'{"version": "1"}', "without a name; it is a text of at most 100", id="no name"),
        pytest.param(b'{"name": "x", "version": 1}', "without a version; it is a text of", id="number"),
        pytest.param(
            b'{"name": "x", "version": "%s"}' % (b"1" * 101), "without a version; it is a text", id="endless"
        ),
    ],
)
def test_a_card_that_says_nothing(path, card, message):
    weights.write(path, card=card)

    assert refusal(path).startswith(f"has a model.json {message}")


def test_a_card_of_another_format(path):
    weights.write(path, card=b'{"format": 2, "name": "x", "version": "1"}')

    assert refusal(path) == "has format 2; this service reads format 1"
