"""The connected components of a mask: which marks there are, how large, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Whole = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Components:
    """Pixels that touch each other, be it at a corner, are one component; each array has a value for each."""

    top: Whole
    bottom: Whole  # past the last row
    left: Whole
    right: Whole  # past the last column
    size: Whole  # the longer side of each component's box
    at_border: Mask
    starts: Whole  # of each run of pixels in a row: where it starts in the flat, padded mask
    ends: Whole
    of_run: Whole  # the component that a run belongs to
    shape: tuple[int, int]

    def mask(self, chosen: Mask) -> Mask:
        """Return the pixels of the components that are chosen."""
        height, width = self.shape
        steps = np.zeros(height * (width + 1) + 1, np.int8)
        runs = chosen[self.of_run]
        steps[self.starts[runs]], steps[self.ends[runs]] = 1, -1
        mask: Mask = steps[:-1].cumsum(dtype=np.int8).reshape(height, width + 1)[:, :width].astype(bool)
        return mask


def find_components(mask: Mask) -> Components:
    """Label a mask run by run, after L. He, Y. Chao, K. Suzuki, IEEE Trans. Image Processing 17(5), 2008."""
    height, width = mask.shape
    stride = width + 1  # a column of nothing keeps the runs of two rows apart
    flat = np.zeros(height * stride + 1, np.int8)
    flat[1:].reshape(height, stride)[:, :width] = mask
    [changes] = (flat[1:] != flat[:-1]).nonzero()
    starts, ends = changes[::2], changes[1::2]
    # The runs of the next row that touch each run.
    low = ends.searchsorted(starts + stride, side="left")
    high = starts.searchsorted(ends + stride, side="right")
    count = np.maximum(high - low, 0)
    upper = np.arange(len(starts)).repeat(count)
    lower = np.arange(len(upper)) + (low - count.cumsum() + count).repeat(count)
    first, of_run = _join(len(starts), upper, lower)
    last = np.zeros_like(first)
    np.maximum.at(last, of_run, np.arange(len(starts)))
    rows = starts // stride
    left, right = starts - rows * stride, ends - rows * stride
    at_border = (rows == 0) | (rows == height - 1) | (left == 0) | (right == width)
    leftmost, rightmost = np.full(len(first), width), np.zeros(len(first), np.intp)
    np.minimum.at(leftmost, of_run, left)
    np.maximum.at(rightmost, of_run, right)
    top, bottom = rows[first], rows[last] + 1
    return Components(
        top=top,
        bottom=bottom,
        left=leftmost,
        right=rightmost,
        size=np.maximum(bottom - top, rightmost - leftmost),
        at_border=np.bincount(of_run, at_border, len(first)) > 0,
        starts=starts,
        ends=ends,
        of_run=of_run,
        shape=(height, width),
    )


def _join(count: int, one: Whole, other: Whole) -> tuple[Whole, Whole]:
    """Join the pairs of so many things: return the first thing of each group, and the group of each thing."""
    labels = np.arange(count)
    both = np.concatenate((one, other))
    while True:
        least = np.minimum(labels[one], labels[other])
        least = np.concatenate((least, least))
        new = labels.copy()  # the least label of all that each one is joined to, in the end
        np.minimum.at(new, both, least)
        np.minimum.at(new, labels[both], least)
        new = new[new]
        if (new == labels).all():
            break
        labels = new
    is_first = labels == np.arange(count)
    groups: Whole = is_first.cumsum() - 1
    return is_first.nonzero()[0], groups[labels]
