"""Which device a process trains on."""

from __future__ import annotations

import pytest

from training import TrainingError
from training.distributed import choose_device


@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda:7", "--device cuda:7: "), ("abacus", "--device abacus is no device")],
)
def test_absent_device_is_refused(name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        choose_device(name)
