"""Several processes training one model, as torchrun's agent starts them; one process needs none of this."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from training import TrainingError

Result = TypeVar("Result")


@contextlib.contextmanager
def process_group(name: str) -> Iterator[torch.device]:
    """Join the group if torchrun's agent started this process; gives the device to train on.

    `cuda` means a GPU of its own for each process of this machine. Raises TrainingError if there is none.
    """
    device = choose_device(name)
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    # `torch.distributed` would wait as long for a process to come as for one that works.
    store, rank, world_size = next(rendezvous("env://", timeout=dt.timedelta(minutes=10)))
    # The others wait while the first process makes soft labels or measures; the agent ends all if one fails.
    backend = "nccl" if device.type == "cuda" else "gloo"
    timeout = dt.timedelta(days=1)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
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


def told() -> str:
    """How a log calls this process: `process 0 of 2 on HOST`."""
    return f"process {rank()} of {world_size()} on {socket.gethostname()}"


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let the first process do the block before the others: one downloads, the rest find it done."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and world_size() > 1:
        dist.barrier()


def from_first(work: Callable[[], Result]) -> Result:
    """What the function gives, called in the first process alone; the others wait for it.

    A TrainingError in the first process is raised in all of them. What is given must be small and picklable.
    """
    if world_size() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except TrainingError as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    result, refusal = outcome
    if refusal is not None:
        raise refusal
    return result  # type: ignore[no-any-return]
