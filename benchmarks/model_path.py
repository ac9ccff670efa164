"""Time ways to run the weights file, and check that all give the plain module's outputs.

    python -m benchmarks.model_path
    python -m benchmarks.model_path --write     # and keep the table in benchmarks/README.md

Every candidate lives in a process of its own, as the switches of the TorchScript executor belong to a
process, and the processes take turns. Inputs are real test images.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bodies import load_digits
from benchmarks.report import README, replace_section
from benchmarks.timing import Timer, interleave, parser, timer

WEIGHTS = Path("service/weights/mnist_cnn.pt")
BATCHES = (1, 8, 32, 64)
TOLERANCE = 1e-5
CALLS_TO_WARM_UP = 20

Module = Any  # a torch.jit.ScriptModule; PyTorch types neither its loading nor its graph
Forward = Callable[[torch.Tensor], torch.Tensor]
Outputs = dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Candidate:
    """One way to run the file: what to call at each batch size, and how the process is set up before."""

    open: Callable[[Path], Callable[[int], Forward]]
    set_up: Callable[[], object] = lambda: None
    threads: int = 1
    channels_last: bool = False


PLAIN = "as loaded"


def candidates() -> dict[str, Candidate]:
    """Name every candidate."""
    internals: Any = torch._C
    fuse = partial(torch.jit.enable_onednn_fusion, True)
    optimize = torch.jit.optimize_for_inference
    return {
        PLAIN: Candidate(one_module(lambda module: module)),
        "freeze": Candidate(one_module(freeze)),
        "optimize_for_inference": Candidate(one_module(optimize)),
        "freeze, oneDNN operators": Candidate(one_module(to_onednn)),
        "freeze, oneDNN graph fusion": Candidate(one_module(freeze), fuse),
        "freeze, oneDNN graph fusion, a copy per batch size": Candidate(copies(freeze), fuse),
        "freeze, oneDNN off": Candidate(one_module(freeze), lambda: internals._set_mkldnn_enabled(False)),
        "freeze, channels last": Candidate(one_module(to_channels_last), channels_last=True),
        "freeze, fuser off": Candidate(
            one_module(freeze), lambda: internals._jit_set_texpr_fuser_enabled(False)
        ),
        "freeze, executor without profiling": Candidate(one_module(freeze), without_profiling),
        "freeze, two threads": Candidate(one_module(freeze), threads=2),
        "optimize_for_inference, two threads": Candidate(one_module(optimize), threads=2),
        "what the service runs": Candidate(served),
    }


def one_module(prepare: Callable[[Module], Module]) -> Callable[[Path], Callable[[int], Forward]]:
    """Use one module for all batch sizes."""

    def open_(weights: Path) -> Callable[[int], Forward]:
        module = prepare(load(weights))
        return lambda _: module

    return open_


def copies(prepare: Callable[[Module], Module]) -> Callable[[Path], Callable[[int], Forward]]:
    """Use a module of its own for each batch size, so that it never meets another shape."""
    return lambda weights: lambda _: prepare(load(weights))


def served(weights: Path) -> Callable[[int], Forward]:
    """Use what the service makes of the file, its array interface included."""
    from service.inference.model import load_model
    from service.inference.torchscript import configure_torch

    configure_torch(1)
    model = load_model(weights, batch_sizes=BATCHES)
    return lambda _: lambda images: torch.from_numpy(model.logits(images.view(len(images), -1).numpy()))


def load(weights: Path) -> Module:
    """Load the file on the CPU."""
    load_file: Any = torch.jit.load
    return load_file(str(weights), map_location="cpu").eval()


def freeze(module: Module) -> Module:
    """Make the parameters constants; a module that is frozen already stays as it is."""
    return torch.jit.freeze(module) if hasattr(module, "training") else module


def to_onednn(module: Module) -> Module:
    """Run the frozen graph on oneDNN's own tensor layouts."""
    frozen = freeze(module)
    torch._C._jit_pass_convert_frozen_ops_to_mkldnn(frozen.graph)
    return frozen


def to_channels_last(module: Module) -> Module:
    """Store the weights of the convolutions with the channels innermost."""
    frozen = freeze(module)
    for node in frozen.graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t" and node.t("value").dim() == 4:
            node.t_("value", node.t("value").contiguous(memory_format=torch.channels_last))
    return frozen


def without_profiling() -> None:
    """Use the executor that compiles at the first call and never looks at shapes."""
    internals: Any = torch._C
    internals._jit_set_profiling_executor(False)
    internals._jit_set_profiling_mode(False)


def run(name: str, weights: Path, images: NDArray[np.uint8], connection: Connection) -> None:
    """Be one candidate's process: send outputs per batch size, then answer (batch, repeats) with seconds."""
    candidate = candidates()[name]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: candidate.threads])
    torch.set_num_threads(candidate.threads)
    candidate.set_up()
    pixels = torch.from_numpy(images).to(torch.float32).div(255).unsqueeze(1)
    layout = torch.channels_last if candidate.channels_last else torch.contiguous_format
    inputs = {batch: pixels[:batch].contiguous(memory_format=layout) for batch in BATCHES}
    forward_at = candidate.open(weights)
    with torch.inference_mode():
        forwards = {batch: forward_at(batch) for batch in BATCHES}
        for _ in range(CALLS_TO_WARM_UP):
            outputs = {batch: forwards[batch](given).numpy() for batch, given in inputs.items()}
        connection.send(outputs)
        timers = {batch: timer(partial(forwards[batch], given)) for batch, given in inputs.items()}
        while (request := connection.recv()) is not None:
            batch, repeats = request
            connection.send(timers[batch](repeats))


def start(weights: Path, images: NDArray[np.uint8]) -> tuple[dict[str, Connection], dict[str, Outputs]]:
    """Start every candidate that this machine has the cores for; return the way to it and its outputs."""
    context = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))
    connections, outputs = {}, {}
    for name, candidate in candidates().items():
        if candidate.threads > cores:
            continue
        ours, theirs = context.Pipe()
        context.Process(target=run, args=(name, weights, images, theirs), daemon=True).start()
        theirs.close()
        outputs[name] = ours.recv()
        connections[name] = ours
    return connections, outputs


def ask(connection: Connection, batch: int) -> Timer:
    """Make a timer of a candidate's process."""

    def timed(repeats: int) -> float:
        connection.send((batch, repeats))
        return float(connection.recv())

    return timed


def main(arguments: Sequence[str] | None = None) -> None:
    """Start, check and time the candidates; print a table and the winner at each batch size."""
    command = parser("benchmarks.model_path", __doc__, rounds=9, seconds=0.1, per="candidate, batch size")
    command.add_argument("--weights", type=Path, default=WEIGHTS)
    options = command.parse_args(arguments)

    connections, outputs = start(options.weights, load_digits(options.data, max(BATCHES)).images.copy())
    off = {
        name: max(float(np.abs(given[batch] - outputs[PLAIN][batch]).max()) for batch in BATCHES)
        for name, given in outputs.items()
    }
    taken = {
        batch: interleave(
            {name: ask(connection, batch) for name, connection in connections.items()},
            rounds=options.rounds,
            seconds=options.seconds,
        )
        for batch in BATCHES
    }
    for connection in connections.values():
        connection.send(None)

    text = layout(taken, off)
    print(text)
    if options.write:
        replace_section(README, "model-path", text)


def layout(taken: dict[int, dict[str, list[float]]], off: dict[str, float]) -> str:
    """Lay out microseconds per image, and name the quickest on one thread among those with equal outputs."""
    head = " | ".join(f"batch {batch}" for batch in BATCHES)
    lines = [f"| µs per image, best (median) round | {head} | off by |"]
    lines.append("| --- |" + " ---: |" * (len(BATCHES) + 1))
    for name, error in off.items():
        cells = [
            f"{min(seconds) / batch * 1e6:.1f} ({median(seconds) / batch * 1e6:.1f})"
            for batch in BATCHES
            for seconds in [taken[batch][name]]
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {error:.0e} |")
    equal = [name for name in off if off[name] <= TOLERANCE and candidates()[name].threads == 1]
    winners = [f"{min(equal, key=lambda name: min(taken[batch][name]))} (batch {batch})" for batch in BATCHES]
    return "\n".join(lines) + f"\n\nQuickest on one thread: {'; '.join(winners)}."


if __name__ == "__main__":
    main()
