"""Figures of speed are those that the benchmarks wrote."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

MEASURED = (ROOT / "benchmarks" / "README.md").read_text()


def figures(text: str) -> set[str]:
    """The numbers with a separator of thousands or a decimal point."""
    return set(re.findall(r"\b\d+(?:,\d{3})+\b|\b\d+\.\d+\b", text))


def ratio(row: str) -> float:
    """The median of a row in the table of ratios."""
    [median] = re.findall(rf"^\| {re.escape(row)} \|[^|]*\|[^|]*\| ([\d.]+) \|", MEASURED, re.MULTILINE)
    return float(median)


def test_the_page_on_performance_repeats_them() -> None:
    told = figures((ROOT / "docs" / "performance.md").read_text())

    assert len(told) > 20
    assert told - figures(MEASURED) == set()


def test_the_readme_rounds_them() -> None:
    readme = (ROOT / "README.md").read_text()
    [(rate, less, more)] = re.findall(
        r"answers ([\d,]+) JSON requests a second, (\d+) to (\d+) times", readme
    )
    [measured] = re.findall(r"^\| this service, JSON \|[^|]*\|[^|]*\| ([\d,]+) ", MEASURED, re.MULTILINE)
    against = [
        ratio(f"requests/s, 64 connections, JSON, against FastAPI{how}") for how in ("", " with async def")
    ]

    assert int(rate.replace(",", "")) == int(measured.replace(",", "")) // 100 * 100
    assert (int(less), int(more)) == (int(min(against)), int(max(against)))
