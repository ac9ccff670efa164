"""Several processes training one model, as `torchrun` starts them; one process needs none of this."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist

from training import TrainingError


@contextlib.contextmanager
def process_group(name: str) -> Iterator[torch.device]:
    """Join the group if `torchrun` started this process; gives the device to train on.

    `cuda` means a GPU of its own for each process of this machine. Raises TrainingError if there is none.
    """
    device = choose_device(name)
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    # The others wait while the first process makes the soft labels; `torchrun` ends them all if one fails.
    timeout = dt.timedelta(days=1)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """The device of that name, if this machine has it."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"--device {name} is no device; use cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"--device {name} is not supported; use cpu, cuda or cuda:N")
    found = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        raise TrainingError(
            f"--device {name}: torch sees {found} GPUs here; leave out --device to use the CPU"
        )
    return device


def cores() -> int:
    """The CPU cores that this process may use, its share of them if `torchrun` started several."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def rank() -> int:
    """The number of this process in the group; the first, 0, is the one that writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let the first process do the block before the others: one downloads, the rest find it done."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and world_size() > 1:
        dist.barrier()
