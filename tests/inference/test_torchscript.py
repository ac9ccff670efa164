"""Modules are frozen, and run by other kernels than PyTorch's own where those compute the same."""

from __future__ import annotations

import ctypes
import io

import numpy as np
import pytest
import torch

from service.errors import InvalidModel
from service.inference import torchscript
from service.inference.golden import LOGIT_TOLERANCE
from service.inference.model import load_model
from service.inference.torchscript import FUSION_BYTES, Kernels, compiling, load_module, suitable_kernels
from tests.support import models, weights


class Convolutions(torch.nn.Module):
    """Convolutions: strided, padded, dilated, grouped, without bias; with a ReLU behind them, or without."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 5, stride=2, padding=2)
        self.norm = torch.nn.BatchNorm2d(8)
        self.grouped = torch.nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False)
        self.dilated = torch.nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.shifted = torch.nn.Conv2d(16, 16, 1)
        self.last = torch.nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Add what a convolution gives to what it takes, as residual networks do."""
        planes = torch.relu(self.norm(self.first(images)))
        planes = torch.nn.functional.relu6(self.grouped(planes))
        planes = self.dilated(planes)
        planes = torch.relu(planes) + self.shifted(planes)
        return self.last(torch.relu_(planes).mean(dim=[2, 3]))


class Cropped(torch.nn.Module):
    """As high as its brightness has it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Cut the image off."""
        return images[:, :, : 3 + int(images.mean() * 20)]


class ClassToken(torch.nn.Module):
    """A learned row in front of the image's, as in a vision transformer: oneDNN's fusion fails on it."""

    def __init__(self) -> None:
        super().__init__()
        self.token = torch.nn.Parameter(torch.zeros(1, 1, 28))
        self.last = torch.nn.Linear(29 * 28, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Put the row in front."""
        rows = images[:, 0]
        return self.last(torch.cat([self.token.expand(rows.shape[0], -1, -1), rows], 1).flatten(1))


def script(module):
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module.eval()), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kernels", [Kernels.FUSED, Kernels.PACKED])
@pytest.mark.parametrize("frozen", [False, True], ids=["frozen here", "frozen before"])
def test_all_kernels_compute_the_same(tmp_path, kernels, frozen):
    torch.manual_seed(0)
    module = Convolutions().eval()
    with torch.no_grad():
        module.norm.running_mean.uniform_(-1, 1)
    scripted = torch.jit.script(module)
    torch.jit.save(torch.jit.freeze(scripted) if frozen else scripted, tmp_path / "module.pt")

    loaded = load_module((tmp_path / "module.pt").read_bytes(), kernels, (1, 28, 28))

    with torch.inference_mode(), compiling(kernels):
        for size in (1, 3, 4, 4, 4, 1):
            images = torch.rand(size, 1, 28, 28)
            torch.testing.assert_close(loaded(images), module(images), atol=1e-5, rtol=1e-5)


def test_packed_weights_take_the_place_of_the_plain_ones():
    graph = str(load_module(script(Convolutions()), Kernels.PACKED, (1, 28, 28)).graph)

    assert graph.count("mkldnn::_convolution_pointwise") == 4
    assert "aten::conv2d" not in graph
    # Left are a ReLU6, a ReLU of what has another use, and one of a sum.
    assert graph.count("aten::relu") == 3


def test_packed_weights_stay_as_they_are_at_a_call(capfd):
    """Without AVX-512, a layout for images of another size would be undone at each call."""
    planes = (256, 14, 14)
    module = torch.nn.Sequential(torch.nn.Conv2d(256, 256, 3, padding=1), torch.nn.ReLU())
    loaded = load_module(script(module), Kernels.PACKED, planes)

    with torch.inference_mode():
        for size in (1, 4):
            images = torch.rand(size, *planes)
            loaded(images)
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                loaded(images)
    ctypes.CDLL(None).fflush(None)

    steps = capfd.readouterr().out.splitlines()
    assert sum(",convolution," in step for step in steps) == 2
    assert not [step for step in steps if ",reorder," in step and "256x256x3x3" in step]


def test_a_convolution_of_images_of_any_size_stays_as_it_is():
    module = script(torch.nn.Sequential(Cropped(), torch.nn.Conv2d(1, 8, 3)))

    loaded = load_module(module, Kernels.PACKED, (1, 28, 28))

    assert "mkldnn::_convolution_pointwise" not in str(loaded.graph)
    with torch.inference_mode():
        assert loaded(torch.ones(1, 1, 28, 28)).shape == (1, 8, 21, 26)


def test_a_module_that_is_not_frozen_is_fused_with_its_biases(path):
    """Fusion drops the bias of convolutions whose parameters are no constants."""
    module = Convolutions().eval()
    torch.jit.save(
        torch.jit.script(module),
        path,
        _extra_files={
            "model.json": b'{"format": 1, "name": "tiny", "version": "1"}',
            "golden.npz": weights.npz(**weights.golden_cases(module)),
        },
    )

    assert load_model(path, batch_sizes=(1, 2, 4)).kernels is Kernels.FUSED


def test_where_fusion_fails_the_module_serves_without(path, caplog):
    module = ClassToken()
    cases = weights.golden_cases(module.eval())
    weights.write(path, module)

    model = load_model(path, batch_sizes=(1, 2))

    assert model.kernels is Kernels.PACKED
    assert (
        f"{path}, with oneDNN's graph fusion, does not take float32 [1, 1, 28, 28]: Schema not" in caplog.text
    )
    with torch.inference_mode():
        logits = model.logits(cases["images"][:2].reshape(2, 784).astype(np.float32) / 255)
    np.testing.assert_allclose(logits, cases["logits"][:2], atol=LOGIT_TOLERANCE)


def test_kernels_that_compute_something_else_are_named(path, caplog, monkeypatch):
    def pack_wrongly(module, _):
        for node in module.graph.findAllNodes("prim::Constant"):
            if node.hasAttribute("value") and node.kindOf("value") == "t":
                node.t_("value", node.t("value") * 2)

    weights.write(path, models.constant(3))
    monkeypatch.setattr(torchscript, "_pack", pack_wrongly)
    monkeypatch.setattr(torchscript, "FUSION_BYTES", 0)

    assert load_model(path).kernels is Kernels.PLAIN
    kernels = "with its graph frozen, and convolutions packed where they can be"
    assert f"{path}, {kernels}, disagrees with its golden cases: a logit is off by 5" in caplog.text


def test_a_large_module_is_packed_and_a_small_one_fused():
    assert suitable_kernels(bytes(FUSION_BYTES)) == [Kernels.FUSED, Kernels.PACKED, Kernels.PLAIN]
    assert suitable_kernels(bytes(FUSION_BYTES + 1)) == [Kernels.PACKED, Kernels.PLAIN]


def test_what_is_no_torchscript_is_refused():
    with pytest.raises(InvalidModel, match="holds no TorchScript that can be loaded: "):
        load_module(b"rubbish", Kernels.PLAIN, (1, 28, 28))
