"""Pictures of a run, as PNG bytes: how it learned, what it confuses, how well it is calibrated."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.nn import functional as F

from training.calibration import expected_calibration_error, reliability
from training.data import Digits
from training.train import Epoch

INK = "#1f4e79"
ACCENT = "#c8553d"


def learning_curves(history: Sequence[Epoch]) -> bytes:
    """Error rates by epoch, on the augmented training images and on those held out."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    epochs = [epoch.epoch for epoch in history]
    marker = "o" if len(history) == 1 else ""  # a line of one point shows nothing
    errors = [100 - 100 * epoch.accuracy for epoch in history]
    axes.semilogy(epochs, errors, color=INK, marker=marker, label="training, augmented")
    held_out = [epoch.validation_accuracy for epoch in history if epoch.validation_accuracy is not None]
    if held_out:
        errors = [100 - 100 * accuracy for accuracy in held_out]
        axes.semilogy(epochs, errors, color=ACCENT, marker=marker, label="held out, EMA weights")
    axes.set(xlabel="epoch", ylabel="error (%)", title="Learning curves")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(frameon=False)
    return _png(figure)


def confusion_matrix(logits: Tensor, labels: Tensor) -> bytes:
    """How often each digit was read as each; the colours leave out right answers, which would drown them."""
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts.index_put_((labels, logits.argmax(dim=1)), torch.ones_like(labels), accumulate=True)
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes = figure.add_subplot()
    wrong = counts.clone().fill_diagonal_(0)
    axes.imshow(wrong.numpy(), cmap="Reds", vmax=max(1, int(wrong.max()) * 2))
    for row in range(10):
        for column in range(10):
            if counts[row, column]:
                axes.text(column, row, str(int(counts[row, column])), ha="center", va="center", fontsize=8)
    axes.set(xlabel="read as", ylabel="is", title="Confusion matrix, test images")
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    return _png(figure)


def reliability_diagram(logits: Tensor, labels: Tensor) -> bytes:
    """Accuracy against confidence; a bin's point is as large as the fraction of images in it."""
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    rows = [row for row in reliability(logits, labels) if row[0]]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    sizes = [20 + 400 * count / len(labels) for count, _, _ in rows]
    axes.scatter([row[1] for row in rows], [row[2] for row in rows], s=sizes, color=INK, alpha=0.8)
    error = expected_calibration_error(logits, labels)
    axes.set(xlabel="confidence", ylabel="accuracy", title=f"Reliability, test images: ECE {error:.2%}")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    return _png(figure)


def worst_mistakes(logits: Tensor, test: Digits, *, most: int = 40) -> bytes:
    """The test images read wrongly, those with the most confident wrong answer first."""
    probabilities = F.softmax(logits, dim=1)
    confidence, digit = probabilities.max(dim=1)
    wrong = (digit != test.labels).nonzero().flatten()
    order = wrong[confidence[wrong].argsort(descending=True)][:most].tolist()
    columns, gap = 8, 10
    lines = max(1, -(-len(order) // columns))
    # One picture of all: an axes for each took most of the time that a run folder took to be written.
    side = test.images.shape[-1] + gap
    mosaic = torch.full((lines * side, columns * side), 255, dtype=torch.uint8)
    figure = Figure(figsize=(columns * 1.2, lines * 1.2 + 0.4), layout="constrained")
    figure.suptitle(f"The {len(order)} worst of {len(wrong)} mistakes on {len(test):,} test images")
    axes = figure.add_subplot()
    for place, index in enumerate(order):
        row, column = divmod(place, columns)
        top, left = row * side + gap, column * side
        mosaic[top : top + side - gap, left : left + side - gap] = test.images[index, 0]
        told = f"{int(test.labels[index])} as {int(digit[index])}, {confidence[index]:.0%}"
        axes.text(left + (side - gap) / 2, top - 2, told, ha="center", va="bottom", fontsize=8)
    axes.imshow(mosaic.numpy(), cmap="gray", vmin=0, vmax=255)
    axes.axis("off")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
