"""Components are what a search from pixel to pixel finds."""

from __future__ import annotations

import numpy as np

from service.inputs.components import find_components


def search(mask):
    """The boxes and areas of all components, one pixel at a time."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        waiting, pixels = [left.pop()], []
        while waiting:
            y, x = waiting.pop()
            pixels.append((y, x))
            around = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            waiting += around
        (top, first), (bottom, last) = np.min(pixels, axis=0), np.max(pixels, axis=0)
        found.append((top, bottom + 1, first, last + 1, len(pixels)))
    return sorted(found)


def test_random_masks_have_the_components_that_a_search_finds():
    random = np.random.default_rng(0)
    for _ in range(200):
        mask = random.random(random.integers(1, 30, 2)) < random.uniform(0, 0.8)

        found = find_components(mask)

        areas = [found.mask(one).sum() for one in np.eye(len(found.top), dtype=bool)]
        boxes = zip(found.top, found.bottom, found.left, found.right, areas, strict=True)
        assert sorted(boxes) == search(mask)
        assert (found.mask(np.ones(len(found.top), bool)) == mask).all()
        chosen = random.random(len(found.top)) < 0.5
        assert found.mask(chosen).sum() == sum(areas[which] for which in np.flatnonzero(chosen))


def test_those_that_touch_the_border_are_known():
    mask = np.zeros((7, 9), bool)
    mask[0, 2] = mask[3, 3:5] = mask[5, 8] = True

    found = find_components(mask)

    assert found.at_border.tolist() == [True, False, True]
