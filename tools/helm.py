"""Lint, render, package and document the chart, without the helm binary.

    python -m tools.helm lint charts/rust-ml-api --strict
    python -m tools.helm manifests build
    python -m tools.helm package dist
    python -m tools.helm docs

The tests use the same functions, so they check what `make manifests` writes.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml
from helm_python import _native

from tools import chart_docs

CHART = Path(__file__).parents[1] / "charts" / "rust-ml-api"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
OLDEST, NEWEST = "1.28.0", kubernetes_validate.latest_version()

Object = dict[str, Any]


def render_files(
    values: Object | None = None,
    *,
    name: str = "rust-ml-api",
    namespace: str = "default",
    kube_version: str = NEWEST,
    strict: bool = True,
) -> dict[str, str]:
    """Return template file → rendered text, for one release on one version of Kubernetes.

    Strict rendering, unlike an installation, also fails if a template reads a value that does not exist.

    Raises:
        helm_python.HelmError: the schema or a template rejects the values; the message says why.
    """
    options = {"name": name, "namespace": namespace, "kube_version": f"v{kube_version}", "strict": strict}
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values or {})
        # Chart.render() cannot choose the cluster's version; the function under it can.
        rendered = _native.call_string(
            "helm_render", chart._raw(), json.dumps(values or {}), json.dumps(options)
        )
    files: dict[str, str] = json.loads(rendered)
    return {file.split("/templates/")[1]: text for file, text in files.items()}


def render(values: Object | None = None, **options: Any) -> list[Object]:
    """Return every object of one release, hooks included, parsed."""
    files = render_files(values, **options)
    return [found for file, text in sorted(files.items()) if file.endswith(".yaml") for found in parse(text)]


def parse(text: str) -> list[Object]:
    """Return the objects in a YAML text as Kubernetes reads them.

    PyYAML would not do: 1e3 is a string to it, and 1:30 is not.
    """
    documents = (helm_python.values_from_yaml(part) for part in re.split(r"(?m)^---\s*$", text))
    return [found for found in documents if found]


def find(objects: list[Object], kind: str, *, track: str | None = None) -> Object:
    """Return the only object of this kind and track; the stable objects have no label for theirs."""
    of_kind = [each for each in objects if each["kind"] == kind]
    [found] = [each for each in of_kind if each["metadata"].get("labels", {}).get("track") == track]
    return found


def read_values(file: Path) -> Object:
    """Return the values in a YAML file."""
    values: Object = yaml.safe_load(file.read_text()) or {}
    return values


def lint(chart: Path, *, strict: bool) -> list[str]:
    """Return what `helm lint` finds, with the default values and with each file in the chart's ci/ folder."""
    found = []
    for file in [None, *sorted((chart / "ci").glob("*-values.yaml"))]:
        values = read_values(file) if file else {}
        for version in (OLDEST, NEWEST):
            report = helm_python.lint(chart, values, strict=strict, kube_version=f"v{version}")
            worst = 2 if strict else 3  # 2 is a warning, 3 an error
            found += [
                f"{file.name if file else 'values.yaml'} on {version}: {message['path']}: {message['error']}"
                for message in report["messages"]
                if message["severity"] >= worst
            ]
    return found


def write_manifests(folder: Path) -> list[Path]:
    """Write deployment.yaml (with the objects it needs) and hpa.yaml for `kubectl apply -f`."""
    everything = render({"autoscaling": {"enabled": True}})
    # The cluster's version is unknown here, so every field must be valid on the oldest one.
    plain = render(kube_version=OLDEST)
    parts = {
        "deployment.yaml": [each for each in plain if "helm.sh/hook" not in _annotations(each)],
        "hpa.yaml": [find(everything, "HorizontalPodAutoscaler")],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, objects in parts.items():
        for each in objects:
            for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
                each["metadata"]["labels"].pop(label)
        text = yaml.safe_dump_all(objects, sort_keys=False)
        (folder / file).write_text(f"# Rendered from charts/rust-ml-api by `make manifests`.\n{text}")
    return [folder / file for file in parts]


def package(folder: Path, *, repository: str | None = None) -> str:
    """Write the chart's .tgz into a folder, and return its path.

    A published chart takes its image from a repository by default; the one in the source code takes the image
    that was built beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as copied:
        source = CHART
        if repository:
            source = Path(copied) / CHART.name
            shutil.copytree(CHART, source)
            _replace(
                source / "values.yaml", "\n  repository: rust-ml-api\n", f"\n  repository: {repository}\n"
            )
            _replace(source / "Chart.yaml", "image: rust-ml-api:", f"image: {repository}:")
        with helm_python.Chart.load(source) as chart:
            return str(chart.save(folder))


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file.name} has {old!r} {text.count(old)} times, not once"
    file.write_text(text.replace(old, new))


def _annotations(each: Object) -> Object:
    annotations: Object = each["metadata"].get("annotations", {})
    return annotations


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 if it found a problem."""
    parser = argparse.ArgumentParser(prog="python -m tools.helm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("lint", help="check the chart")
    command.add_argument("chart", type=Path, nargs="?", default=CHART)
    command.add_argument("--strict", action="store_true", help="fail on warnings too")
    command = commands.add_parser("manifests", help="render plain manifests into a folder")
    command.add_argument("folder", type=Path)
    command = commands.add_parser("package", help="write the chart's .tgz into a folder")
    command.add_argument("folder", type=Path)
    command.add_argument("--repository", help="the image that it installs, such as ghcr.io/owner/rust-ml-api")
    commands.add_parser("docs", help="write the chart's README.md from the comments in values.yaml")
    options = parser.parse_args(arguments)

    if options.command == "lint":
        found = lint(options.chart, strict=options.strict)
        print("\n".join(found) or f"{options.chart}: no problems found")
        return 1 if found else 0
    if options.command == "manifests":
        print(*write_manifests(options.folder), sep="\n")
    elif options.command == "package":
        print(package(options.folder, repository=options.repository))
    else:
        readme = CHART / "README.md"
        readme.write_text(chart_docs.updated(readme.read_text(), (CHART / "values.yaml").read_text()))
        print(readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
