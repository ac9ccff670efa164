"""JSON in steps: the same values and errors as by ``json``, and turns for other threads meanwhile."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inputs import json_steps
from service.inputs.json_steps import StepwiseDecoder
from service.inputs.turns import take_turns

TOKENS = r'[ [ [ ] ] ] , , , { } : "a" "b": "\u00e4" " \ 1 -0.5 1e5 01 - true nul NaN -Infinity [] [1,2] x é'


def outcome(decoder: json.JSONDecoder, text: str) -> str:
    try:
        return repr(decoder.decode(text))
    except json.JSONDecodeError as error:
        return str(error)


@pytest.fixture(params=[1, 3, 8192])
def piece(request, monkeypatch):
    """How much of a list is read at once."""
    pattern = json_steps.PLAIN_VALUES.pattern
    monkeypatch.setattr(json_steps, "PLAIN_VALUES", re.compile(pattern.replace("8192", str(request.param))))


@pytest.mark.usefixtures("piece")
def test_what_json_reads_is_read_alike_and_what_it_refuses_is_refused_in_the_same_words():
    spaces = [" ", "\n", "\t", "\u00a0"]

    @given(st.lists(st.sampled_from(TOKENS.split(" ") + spaces), max_size=14), st.booleans())
    @settings(max_examples=300, deadline=None)
    def check(tokens: list[str], in_list: bool) -> None:
        text = "".join(tokens)
        text = f"[{text}]" if in_list else text
        assert outcome(StepwiseDecoder(), text) == outcome(json.JSONDecoder(), text)

    check()


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("last", ["1", '"x"', "NaN", "{}", "1,", "", "x"])
def test_long_lists_are_read_alike(depth, last):
    text = "[" * depth + f"{'0.25, ' * 5000}{last}" + "]" * depth

    assert outcome(StepwiseDecoder(), text) == outcome(json.JSONDecoder(), text)


@pytest.mark.parametrize(
    "text",
    ["[" + "0.125," * 500_000 + "1]", "[" + "[0.125]," * 50_000 + "1]", "[" + "1," * 500_000 + "x]"],
    ids=["one list", "lists", "an error at the end"],
)
def test_others_have_their_turns_while_a_document_is_read(text):
    turns = 0

    with ThreadPoolExecutor(1, initializer=take_turns) as thread:
        reading = thread.submit(outcome, StepwiseDecoder(), text)
        while not reading.done():
            time.sleep(0)
            turns += 1

    assert reading.result() == outcome(json.JSONDecoder(), text)
    assert turns > 5
