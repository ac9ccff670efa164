"""``python -m tools.audit``: ask the advisory service about every pinned version.

Exits 1 if a version has a known vulnerability. If the service can't be reached, or knows none of the
packages, it prints that nothing was audited and exits 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
AUDIT = (
    *(sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--timeout", "5", "--format", "json"),
    *("--disable-pip", "--no-deps", "--requirement", str(CONSTRAINTS)),
)
LIMIT_SECONDS = 120


def main() -> int:
    """Print what was found, and return the exit status."""
    try:
        audit = subprocess.run(AUDIT, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"pip-audit: skipped, the advisory service did not answer within {LIMIT_SECONDS} s")
        return 0
    try:
        dependencies = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        reason = (audit.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"pip-audit: skipped, the advisory service can't be reached: {reason[:200]}")
        return 0
    line, status = verdict(dependencies)
    print(f"pip-audit: {line}")
    return status


def verdict(dependencies: list[dict[str, object]]) -> tuple[str, int]:
    """Return what an audit of these packages means, as a sentence and as an exit status."""
    audited = [dependency for dependency in dependencies if "skip_reason" not in dependency]
    if not audited:
        return "skipped, the advisory service knows none of the packages", 0
    vulnerable = [
        f"{found['name']} {found['version']}: {', '.join(each['id'] for each in found['vulns'])}"
        for found in audited
        if found["vulns"]
    ]
    if vulnerable:
        return "known vulnerabilities in " + "; ".join(vulnerable), 1
    return f"no known vulnerability in {len(audited)} of {len(dependencies)} packages", 0


if __name__ == "__main__":
    sys.exit(main())
