"""What the command says at its end: how good the network is, and what to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.export import FILE_NAME
from training.next_steps import deploy_command, serve_command


def summary(folder: Path, report: dict[str, Any]) -> str:
    """Lines for the terminal, from the content of `metrics.json`."""
    rows = {
        "test images": f"{report['test_accuracy']:.2%} of {report['dataset']['test_images']:,} read right, "
        f"calibration error {report['test_ece']:.2%}",
        "held-out images": _share(report, "validation_accuracy"),
        "corrupted images": _share(report, "test_corruption_accuracy"),
        "outliers": _outliers(report),
        "training": f"{len(report['epochs'])} epochs of {report['dataset']['train_images']:,} images; "
        f"{report['train_seconds']:,.0f} s in this run",
    }
    weights = folder / FILE_NAME
    lines = [f"seed {report['training']['seed']}, version {report['version']}"]
    lines += [f"  {name:18}{value}" for name, value in rows.items()]
    if len(report["students"]) > 1:
        mean, sd = report["students_mean"], report["students_sd"]
        lines.append(f"test accuracy over {len(report['students'])} seeds: {mean:.3%} ± {sd:.3%}")
    return "\n".join(
        [
            *lines,
            f"wrote {weights}, and a report beside it: {folder / 'MODEL_CARD.md'}",
            f"serve it:  {serve_command(weights)}",
            f"deploy it: {deploy_command(weights, report['version'])}",
        ]
    )


def _outliers(report: dict[str, Any]) -> str:
    if "outlier_auroc" not in report:
        return "not told"
    digits, others = report["test_outlier_rate"], report["negatives_outlier_rate"]
    return f"{digits:.2%} of the test images flagged, {others:.1%} of images of no digit"


def _share(report: dict[str, Any], name: str) -> str:
    return f"{report[name]:.2%} read right" if name in report else "not measured"
