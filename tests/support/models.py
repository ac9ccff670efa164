"""Small TorchScript models that are slow, that break, or that always see the same digit."""

from __future__ import annotations

import torch


def constant(digit: int) -> torch.nn.Module:
    """A model that sees the same digit in every image: an answer tells which model gave it."""
    linear = torch.nn.Linear(784, 10)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(5.0 * torch.eye(10)[digit])
    return torch.nn.Sequential(torch.nn.Flatten(), linear)


class SlowModel(torch.nn.Module):
    """A model that takes a while, so that it is what limits the service, and not the client beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(784, 784)
        self.last = torch.nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Multiply by the same matrix again and again."""
        pixels = images.flatten(1)
        for _ in range(120):
            pixels = torch.relu(self.hidden(pixels))
        return self.last(pixels)


class FaultyModel(torch.nn.Module):
    """A model that hangs on an image that is all ones, and fails on one that is all halves."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Look at the brightest image."""
        brightest = float(images.flatten(1).mean(1).max())
        pixels = images.flatten(1)
        if brightest == 0.5:
            pixels = pixels[:, 1:]
        while brightest > 0.99:
            brightest += 1
        return self.linear(pixels)
