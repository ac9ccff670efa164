"""The network that is served, and the wider one of its teachers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = tuple("0123456789")
# The label of what is no digit. Its logit is always 0: the network has none for it.
NO_DIGIT = len(CLASSES)

# Output channels, kernel side, stride and padding of each convolution. Chosen for the time that one thread
# needs (training/EXPERIMENTS.md has the table): the stem halves 28 x 28 at once and lets its empty border go,
# and channel counts are multiples of 16, the width of the vector registers that oneDNN's convolutions fill.
Layer = tuple[int, int, int, int]
STUDENT: tuple[Layer, ...] = ((16, 6, 2, 0), (32, 3, 2, 1), (64, 3, 2, 1), (128, 3, 1, 0))
# Twice the time per image, and as wide as 250,000 parameters allow.
TEACHER: tuple[Layer, ...] = ((16, 6, 2, 0), (64, 3, 2, 1), (128, 3, 2, 1), (128, 3, 1, 0))

# The standard deviation of MNIST's pixels.
PIXEL_SD = 0.3081


class DigitNet(nn.Sequential):
    """Convolutions with batch norm, then one linear layer: pixels (N, 1, 28, 28) in 0..1 to logits (N, 10).

    Normalisation is inside at no cost. Subtracting the mean and dividing by the standard deviation is an
    affine map, which the first convolution and its batch norm absorb exactly: the weights of that convolution
    start out divided by the standard deviation, and its padding is black, as the ground of every image is. At
    export the batch norms fold into the convolutions, so that raw pixels meet one convolution and no more.
    """

    def __init__(self, layers: tuple[Layer, ...] = STUDENT) -> None:
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        before, side = 1, 28
        for index, (channels, kernel, stride, padding) in enumerate(layers, start=1):
            blocks[f"conv{index}"] = nn.Conv2d(before, channels, kernel, stride, padding, bias=False)
            blocks[f"norm{index}"] = nn.BatchNorm2d(channels)
            blocks[f"relu{index}"] = nn.ReLU(inplace=True)
            before, side = channels, (side + 2 * padding - kernel) // stride + 1
        blocks["flatten"] = nn.Flatten()
        blocks["logits"] = nn.Linear(before * side * side, len(CLASSES))
        super().__init__(blocks)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            blocks["conv1"].weight.div_(PIXEL_SD)  # type: ignore[operator]


def parameter_count(model: nn.Module) -> int:
    """How many parameters the model has."""
    return sum(parameter.numel() for parameter in model.parameters())


def content_hash(model: nn.Module) -> str:
    """The sha256, in hex, of all parameters and buffers: name, shape, type and little-endian bytes."""
    return _hash(model.state_dict())


def parameters_hash(model: nn.Module) -> str:
    """The same of the parameters alone, which are equal in all processes that train a network together."""
    return _hash(dict(model.named_parameters()))


def _hash(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def divide_logits(model: DigitNet, temperature: float) -> None:
    """Fold a softmax temperature into the last layer, in place."""
    layer = model.get_submodule("logits")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.div_(temperature)


def with_no_digit(logits: Tensor) -> Tensor:
    """Logits (N, 10) with a column of zeros for `NO_DIGIT`: (N, 11).

    A network that learns from these has a low logsumexp of its ten logits where there is no digit, which is
    their energy (`outliers.py`); the ten, and what it costs to compute them, stay as they are.
    """
    return F.pad(logits, (0, 1))


def forward(model: nn.Module, images: Tensor, *, bfloat16: bool) -> Tensor:
    """Logits (N, 10) in float32, with convolutions and matrix products in bfloat16 if asked for."""
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bfloat16):
        logits: Tensor = model(images)
    return logits.float()


def predict(model: nn.Module, images: Tensor, *, batch_size: int = 500, bfloat16: bool = False) -> Tensor:
    """Logits (N, 10) on the CPU for pixels (N, 1, 28, 28), in evaluation mode and without gradients."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    with torch.inference_mode():
        batches = [batch.to(device) for batch in torch.split(images, batch_size)]
        logits = torch.cat([forward(model, batch, bfloat16=bfloat16).cpu() for batch in batches])
    model.train(training)
    return logits
