"""TorchScript modules as they run here: loaded from bytes, frozen, with the kernels that suit their size.

PyTorch reorders the weights of a convolution at every call into the layout that oneDNN computes with. Two
ways spare that, and join a convolution with the ReLU behind it. oneDNN's graph fusion joins the most, and is
the fastest for small modules, where each call costs more than its arithmetic; but it keeps the weights
twice. Above ``FUSION_BYTES`` the weights are packed once, here, and the plain ones are let go.

Both count on constants: the module is frozen first. The fusion drops the bias of convolutions of one that is
not.
"""

from __future__ import annotations

import enum
import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch

from service.errors import InvalidModel

logger = logging.getLogger(__name__)

FUSION_BYTES = 16 << 20


class Kernels(enum.Enum):
    """How the graph of a module is run."""

    FUSED = "oneDNN's graph fusion"
    PACKED = "its graph frozen, and convolutions packed where they can be"
    PLAIN = "PyTorch's own kernels"


def configure_torch(num_threads: int) -> None:
    """Set what holds for the whole process: threads per batch, and what oneDNN may keep."""
    torch.set_num_threads(num_threads)
    # oneDNN would keep the kernels of the last 1024 fused graphs: those of models that serve no more. Each
    # module holds its own kernels anyway. It reads the variable when it compiles its first graph.
    os.environ.setdefault("DNNL_GRAPH_COMPILED_PARTITION_CACHE_CAPACITY", "0")


def suitable_kernels(data: bytes) -> list[Kernels]:
    """Return which kernels suit a module of so many bytes, the best first; the last always work."""
    return list(Kernels) if len(data) <= FUSION_BYTES else [Kernels.PACKED, Kernels.PLAIN]


@contextmanager
def compiling(kernels: Kernels) -> Iterator[None]:
    """Have TorchScript compile for these kernels what is called meanwhile, in all threads.

    Raises:
        InvalidModel: this build of PyTorch has no such kernels.
    """
    if kernels is not Kernels.FUSED:
        yield
        return
    try:
        torch.jit.enable_onednn_fusion(True)
    except RuntimeError as error:
        raise InvalidModel(f"can't be compiled: {reason_of(error)}") from None
    try:
        yield
    finally:
        torch.jit.enable_onednn_fusion(False)


def load_module(data: bytes, kernels: Kernels, planes: Sequence[int]) -> torch.jit.ScriptModule:
    """Load a module, prepared for these kernels and for images of so many channels, rows and columns.

    Raises:
        InvalidModel: the bytes are no TorchScript, or it can't be prepared.
    """
    module = _load(data)
    try:
        if kernels is Kernels.PLAIN:
            module.eval()
        else:
            module = _freeze(module)
        if kernels is Kernels.PACKED:
            _pack(module, planes)
    except RuntimeError as error:
        raise InvalidModel(f"can't be frozen: {reason_of(error)}") from None
    return module


def is_straight(module: torch.jit.ScriptModule) -> bool:
    """Return whether every call takes the same steps: no image can make it branch, or loop for ever."""
    graph: Any = module.inlined_graph
    return not any(graph.findAllNodes(kind) for kind in ("prim::Loop", "prim::If", "prim::CallMethod"))


def reason_of(error: Exception) -> str:
    """Return the line in which PyTorch says what went wrong."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
    # Where it happened comes first, if it was in the module's own code.
    line = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
    return line.strip().removeprefix("RuntimeError: ")


def _load(data: bytes) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # TorchScript is this project's file format by choice; PyTorch deprecates torch.jit.
            warnings.filterwarnings("ignore", message="`torch.jit")
            load: Any = torch.jit.load
            module: torch.jit.ScriptModule = load(io.BytesIO(data), map_location="cpu")
    except Exception as error:  # whatever PyTorch makes of what may be anything
        raise InvalidModel(f"holds no TorchScript that can be loaded: {reason_of(error)}") from None
    return module


def _freeze(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return the module with its parameters as constants."""
    if not hasattr(module, "training"):  # it has been frozen before; a second time would keep them twice
        return module
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit")
        frozen: torch.jit.ScriptModule = torch.jit.freeze(module.eval())
    return frozen


def _pack(module: torch.jit.ScriptModule, planes: Sequence[int]) -> None:
    """Have convolutions with constant weights keep them in oneDNN's layout, and apply the ReLU behind them.

    The operator is the one that ``torch.compile`` generates calls of for CPUs (torch/_inductor/mkldnn_ir.py).
    Which layout is the quickest depends on the size of the images. In another one, processors without AVX-512
    reorder the weights at every call, for up to ten times the time of the convolution; so one that takes
    images of a size that is not known stays as it is.
    """
    graph: Any = module.graph
    pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
    for node, size in zip(graph.findAllNodes("aten::conv2d"), _sizes(graph, planes), strict=True):
        image, weight, bias, stride, padding, dilation, groups = node.inputs()
        constants = [size, *map(_constant, (weight, stride, padding, dilation, groups))]
        if any(constant is None for constant in constants) or constants[1].dtype != torch.float32:
            continue
        size, plain, steps, edges, *rest = constants
        packed = pack(plain.to_mkldnn(), edges, steps, *rest, size)
        relu = _relu_behind(node)

        graph.setInsertPoint(node)
        weight = graph.insertNode(graph.create("prim::ConstantMKLDNNTensor", [], 1))
        weight.t_("value", packed)
        scalars = graph.insertNode(graph.create("prim::ListConstruct", [], 1))
        scalars.output().setType(torch._C.ListType(torch._C.OptionalType(torch._C.NumberType.get())))
        operation = graph.insertConstant("none" if relu is None else "relu")
        inputs = [image, weight.output(), bias, padding, stride, dilation, groups, operation]
        inputs += [scalars.output(), graph.insertConstant(None)]
        convolution = graph.insertNode(graph.create("mkldnn::_convolution_pointwise", inputs, 1))
        convolution.output().setType(torch._C.TensorType.get())
        (relu or node).output().replaceAllUsesWith(convolution.output())
        if relu is not None:
            relu.destroy()
        node.destroy()
    torch._C._jit_pass_dce(graph)


def _sizes(graph: Any, planes: Sequence[int]) -> list[list[int] | None]:
    """Return the shape of what each convolution takes of one image; None where that is not known."""
    shaped = graph.copy()
    _, images, *_ = shaped.inputs()
    images.inferTypeFrom(torch.empty(1, *planes))
    with suppress(RuntimeError):  # it fails on lists that grow, as DenseNet's
        torch._C._jit_pass_propagate_shapes_on_graph(shaped)
    return [next(node.inputs()).type().sizes() for node in shaped.findAllNodes("aten::conv2d")]


def _relu_behind(node: Any) -> Any:
    """Return the ReLU that a node's output goes to, if it goes nowhere else; None otherwise."""
    uses = node.output().uses()
    is_alone = len(uses) == 1 and uses[0].user.kind() in ("aten::relu", "aten::relu_")
    return uses[0].user if is_alone else None


def _constant(value: Any) -> Any:
    """Return what a value of a graph is, if that is known before it runs; None otherwise."""
    node = value.node()
    if node.kind() != "prim::ListConstruct":
        return value.toIValue()
    items = [item.toIValue() for item in node.inputs()]
    return None if None in items else items
