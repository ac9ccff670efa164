"""Measure the service beside its peers: start each, check its answers, load it with wrk, print one table.

python -m benchmarks            # print
python -m benchmarks --write    # and keep results.json, results.svg and the tables in README.md
python -m benchmarks --model resnet18    # JPEG files to ResNet-18 instead of digits as JSON
python -m benchmarks --footprint         # measure start, memory, and processor time at 10 requests/s instead
python -m benchmarks --against COMMIT    # measure the working tree beside a commit instead
python -m benchmarks --ablations         # measure the service without each of its pieces instead
python -m benchmarks --tracing           # measure what traces cost instead
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import ablations, contenders, footprint, report, tracing
from benchmarks.against import compare
from benchmarks.bodies import DATA, digit_workload, load_digits
from benchmarks.chart import draw
from benchmarks.contenders import Contender
from benchmarks.harness import Harness
from benchmarks.photos import photo_workload
from benchmarks.results import Results
from benchmarks.workload import Workload

HERE = Path(__file__).parent
WEIGHTS = HERE.parent / "service" / "weights" / "mnist_cnn.pt"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep what was asked to be kept."""
    options = parse(arguments)
    if options.results:
        keep(options, Results.read(options.results))
        return
    with opened_workload(options) as workload:
        if options.against:
            service = contenders.BY_MODEL[options.model][0]
            load = {"seconds": options.seconds, "connections": options.connections}
            print(compare(options.against, workload, service, rounds=options.rounds, **load))
        elif options.ablations or options.tracing:
            name, module = ("ablations", ablations) if options.ablations else ("tracing", tracing)
            show(options, name, module.measure(workload, rounds=options.rounds, seconds=options.seconds))
        elif options.footprint:
            text = footprint.measure(
                workload, chosen(options), rounds=options.rounds, seconds=options.seconds
            )
            show(options, section("footprint", options.model), text)
        else:
            harness = Harness(options.model, workload, options.rounds, options.seconds, options.connections)
            keep(options, harness.run(chosen(options)))


@contextmanager
def opened_workload(options: argparse.Namespace) -> Iterator[Workload]:
    """Make what is served and sent."""
    if options.model == "mnist":
        yield digit_workload(options.weights, load_digits(options.data))
        return
    has_torchserve = any(one.name == "torchserve" for one in chosen(options))
    with photo_workload(archive=has_torchserve) as workload:
        yield workload


def chosen(options: argparse.Namespace) -> list[Contender]:
    """List the contenders that the command line names: all, if it names none."""
    names = options.contender
    return [one for one in contenders.BY_MODEL[options.model] if not names or one.name in names]


def keep(options: argparse.Namespace, results: Results) -> None:
    """Print the tables of a run, and write what the command line asks for."""
    if options.output:
        results.write(options.output)
    if options.write:
        file = section("results", results.model)
        results.write(HERE / f"{file}.json")
        if results.model == "mnist":
            draw(results, HERE / "results.svg")
    show(options, section("results", results.model), report.markdown(results))


def show(options: argparse.Namespace, name: str, text: str) -> None:
    """Print a table, and put it into a section of the README if the command line asks for that."""
    print(text)
    if options.write:
        report.replace_section(report.README, name, text)


def section(name: str, model: str) -> str:
    """Name a section or a file; those of the bundled model go without the model's name."""
    return name if model == "mnist" else f"{name}-{model}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = "; ".join(
        f"{model}: {', '.join(one.name for one in some)}" for model, some in contenders.BY_MODEL.items()
    )
    add = parser.add_argument
    add("--model", choices=contenders.BY_MODEL, default="mnist", help="mnist, or resnet18 (made on the spot)")
    add("--data", type=Path, default=DATA, help="folder of the MNIST files")
    add("--weights", type=Path, default=WEIGHTS, help="weights file for MNIST that all serve")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=4, help="of load, for each body and number of connections")
    add("--connections", type=int, nargs="+", default=[1, 8, 64], metavar="N", help="in ascending order")
    add("--contender", nargs="+", default=[], metavar="NAME", help=names)
    add("--against", metavar="COMMIT", help="measure the working tree beside this commit, and print ratios")
    add("--ablations", action="store_true", help="measure what each piece that is there for speed is worth")
    add("--tracing", action="store_true", help="measure what traces cost")
    add("--footprint", action="store_true", help="measure start, memory, and CPU time at 10 requests/s")
    add("--results", type=Path, metavar="FILE", help="show these results instead of measuring")
    add("--output", type=Path, metavar="FILE", help="write the raw results here")
    add("--write", action="store_true", help="write results, chart and README.md in benchmarks/")
    options = parser.parse_args(arguments)
    known = [one.name for one in contenders.BY_MODEL[options.model]]
    if unknown := set(options.contender) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: {options.model} has {', '.join(known)}")
    if (options.ablations or options.tracing) and options.model != "mnist":
        parser.error("--ablations and --tracing are of mnist")
    return options


if __name__ == "__main__":
    main()
