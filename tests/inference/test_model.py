"""The model of a weights file: loaded, warmed up, and refused where it has another shape."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from service.inference.model import WARM_UP_CALLS, load_model
from tests.support import models, weights
from tests.support.weights import golden, refusal


def test_a_good_file_is_loaded(path):
    weights.write(path, models.constant(7), version="abc")

    model = load_model(path, batch_sizes=(1, 4))
    with torch.inference_mode():
        logits = model.logits(np.zeros((4, 784), np.float32))

    assert (model.card.name, model.card.version) == ("tiny", "abc")
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert logits.argmax(axis=1).tolist() == [7, 7, 7, 7]


def test_warming_up_takes_one_batch_a_step(path):
    model = load_model(weights.write(path), batch_sizes=(1, 2, 8))

    with torch.inference_mode():
        assert list(model.warm_up((1, 2, 8))) == 3 * WARM_UP_CALLS * [None]


@pytest.mark.parametrize(
    ("module", "seconds", "inline_size"),
    [(models.constant(1), 1, 8), (models.constant(1), 0, 0), (models.FaultyModel(), 1, 0)],
    ids=["quick", "slow", "with a loop"],
)
def test_what_may_run_in_the_event_loop_is_quick_and_can_not_loop(path, module, seconds, inline_size):
    weights.write(path, module)

    assert load_model(path, batch_sizes=(1, 2, 8), inline_seconds=seconds).inline_size == inline_size


class Double(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :10].double()


class Pair(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


class TwoInputs(torch.nn.Module):
    def forward(self, images: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :10] + more


class Refuses(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[0] == 4:
            raise ValueError("four is unlucky")
        return images.flatten(1)[:, :10]


def linear(inputs, outputs):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(inputs, outputs))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        pytest.param(linear(1024, 10), "does not take float32 [1, 1, 28, 28]: mat1 and mat2", id="32 x 32"),
        pytest.param(linear(784, 10).double(), "does not take float32 [1, 1, 28, 28]: ", id="takes double"),
        pytest.param(TwoInputs(), "does not take float32 [1, 1, 28, 28]: ", id="two inputs"),
        pytest.param(linear(784, 9), "gives float32 [1, 9]; expected float32 [1, 10]", id="nine classes"),
        pytest.param(torch.nn.ReLU(), "gives float32 [1, 1, 28, 28]; expected float32 [1, 10]", id="image"),
        pytest.param(Double(), "gives float64 [1, 10]; expected float32 [1, 10]", id="gives double"),
        pytest.param(Pair(), "gives a tuple; expected a tensor, float32 [N, 10]", id="pair"),
    ],
)
def test_a_model_of_another_shape(path, module, message):
    weights.write(path, module, golden=golden())

    assert refusal(path).startswith(message)


def test_a_model_that_refuses_one_of_the_batch_sizes(path):
    weights.write(path, Refuses())

    load_model(path, batch_sizes=(1, 2))
    assert refusal(path, batch_sizes=(1, 2, 4)).startswith("does not take float32 [4, 1, 28, 28]: ")
