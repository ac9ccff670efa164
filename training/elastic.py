"""One node of a run on several: torchrun's elastic agent around `python -m training`, with the same options.

On each of two machines, the first of which is called HOST and has the index 0:

    JOB_COMPLETION_INDEX=0 python -m training.elastic --nnodes 2 --rdzv-backend c10d --rdzv-id first \
        --rdzv-endpoint HOST:29400 --max-restarts 3 -m training --data DIR --out SHARED/first --resume

The agents meet at the endpoint (a rendezvous), each starts its processes, and `training.distributed` makes a
group of them. When a process or a machine fails, the agents that are left stop theirs, meet again when all
are there, and go on from the last epoch. Kubernetes sets the index in the pods of an Indexed Job; the chart's
training Job runs this.

`torchrun` itself would do the same, but for three things that matter in a cluster:

- Whether a machine is the host follows from its index. torchrun asks DNS, which may not know the name yet
  while the pod starts; then nobody would be the host.
- Until the host is there, the others wait for it as long as for each other (`--rdzv-conf join_timeout=600`),
  for its machine may still pull the image. torchrun gives up after one minute.
- Weights that are not good enough to be published are no failure to recover from: nothing is restarted, and
  the exit status is that of `python -m training`, where torchrun's would be 1.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from torch.distributed import DistError, run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.elastic.rendezvous.utils import parse_rendezvous_endpoint
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from training import TrainingError
from training.__main__ import INTERRUPTED
from training.__main__ import main as train
from training.publish import PublishRefused

JOIN_SECONDS = 600
C10D_PORT = 29400


def main(arguments: list[str] | None = None) -> None:
    """Run one node's agent until the training is over; ends the program with its status."""
    # As for the command itself: the first process of a container would ignore SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = launch(sys.argv[1:] if arguments is None else arguments)
    except TrainingError as error:
        print(f"training: {error}", file=sys.stderr)
        status = error.status
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SignalException as signalled:
        status = 128 + signalled.sigval.value
    raise SystemExit(status)


def launch(arguments: list[str]) -> int:
    """Read torchrun's options, meet the other nodes and train; gives 0, or the status of a refusal.

    Raises TrainingError if the nodes do not meet, or if a process of this one failed too often.
    """
    options = run.parse_args(arguments)  # type: ignore[no-untyped-call]
    if not options.module or options.training_script != "training":
        raise TrainingError(
            f"this starts `-m training` alone, not {options.training_script}; torchrun starts others"
        )
    # An agent that shares a store with its processes does not tell its address again when another comes back:
    # they would wait for each other until both fail.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    config, _, _ = run.config_from_args(options)
    index = os.environ.get("JOB_COMPLETION_INDEX")
    if index is not None and config.rdzv_backend == "c10d":
        config.rdzv_configs.setdefault("is_host", str(index == "0"))
        if index != "0":
            wait_for_host(config)
    try:
        statuses: dict[int, int] = elastic_launch(config, work)(*options.training_script_args)
    except ChildFailedError as error:
        failure = error.get_first_failure()[1]
        raise TrainingError(
            f"process {failure.local_rank} of this node ended with status {failure.exitcode}, and "
            f"{config.max_restarts} restarts did not help; what it said is above"
        ) from None
    except (RendezvousError, DistError) as error:
        raise TrainingError(
            f"the nodes do not meet at {config.rdzv_endpoint}, or lost each other: {type(error).__name__} "
            f"{error}; there must be {config.max_nodes}, and each must reach the others on every port"
        ) from None
    return max(statuses.values())


def work(*arguments: str) -> int:
    """Train, in a process that the agent started; a refusal to publish is a result, all else a failure."""
    try:
        train(list(arguments))
    except SystemExit as ended:
        if ended.code == PublishRefused.status:
            return PublishRefused.status
        raise
    return 0


def wait_for_host(config: LaunchConfig) -> None:
    """Return when something listens at the endpoint; raises TrainingError after the join timeout."""
    host, port = parse_rendezvous_endpoint(config.rdzv_endpoint, C10D_PORT)
    seconds = int(config.rdzv_configs.get("join_timeout", JOIN_SECONDS))
    deadline = time.monotonic() + seconds
    told = ""
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"nobody listens at {host}:{port} for {seconds} s ({error}): the node with index 0 "
                    "did not start, or a network policy is in the way"
                ) from None
            if str(error) != told:
                told = str(error)
                print(f"waiting for the first node, {host}:{port}: {told}", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
