"""Measure the service beside its peers: start each, check its answers, load it with wrk, print one table.

python -m benchmarks            # print
python -m benchmarks --write    # and keep results.json, results.svg and the tables in README.md
python -m benchmarks --against COMMIT    # measure the working tree beside a commit instead
python -m benchmarks --ablations         # measure the service without each of its pieces instead
python -m benchmarks --tracing           # measure what traces cost instead
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ablations, contenders, report, tracing
from benchmarks.against import compare
from benchmarks.bodies import DATA, load_digits
from benchmarks.chart import draw
from benchmarks.harness import Harness
from benchmarks.results import Results

HERE = Path(__file__).parent
WEIGHTS = HERE.parent / "service" / "weights" / "mnist_cnn.pt"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep what was asked to be kept."""
    options = parse(arguments)
    if options.against:
        print(
            compare(
                options.against,
                weights=options.weights,
                digits=load_digits(options.data),
                rounds=options.rounds,
                seconds=options.seconds,
                connections=options.connections,
            )
        )
        return
    for section, module in (("ablations", ablations), ("tracing", tracing)):
        if getattr(options, section):
            digits = load_digits(options.data)
            text = module.measure(options.weights, digits, rounds=options.rounds, seconds=options.seconds)
            print(text)
            if options.write:
                report.replace_section(report.README, section, text)
            return
    if options.results:
        results = Results.read(options.results)
    else:
        harness = Harness(
            options.weights, load_digits(options.data), options.rounds, options.seconds, options.connections
        )
        results = harness.run([one for one in contenders.ALL if one.name in options.contender])
    print(report.markdown(results))
    if options.output:
        results.write(options.output)
    if options.write:
        results.write(HERE / "results.json")
        draw(results, HERE / "results.svg")
        report.replace_section(report.README, "results", report.markdown(results))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    names = [contender.name for contender in contenders.ALL]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, default=DATA, help="folder of the MNIST files")
    add("--weights", type=Path, default=WEIGHTS, help="TorchScript file that all serve")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=4, help="of load, for each body and number of connections")
    add("--connections", type=int, nargs="+", default=[1, 8, 64], metavar="N", help="in ascending order")
    add("--contender", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    add("--against", metavar="COMMIT", help="measure the working tree beside this commit, and print ratios")
    add("--ablations", action="store_true", help="measure what each piece that is there for speed is worth")
    add("--tracing", action="store_true", help="measure what traces cost")
    add("--results", type=Path, metavar="FILE", help="show these results instead of measuring")
    add("--output", type=Path, metavar="FILE", help="write the raw results here")
    add("--write", action="store_true", help="write results.json, results.svg and README.md in benchmarks/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
