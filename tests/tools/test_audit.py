"""The audit of the pinned versions: no answer is not the same as no known vulnerability."""

from __future__ import annotations

from tools import audit


def test_an_audit_tells_known_vulnerabilities_from_no_answer():
    good = {"name": "a", "version": "1", "vulns": []}
    bad = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
    unknown = {"name": "c", "skip_reason": "not found"}

    assert audit.verdict([unknown]) == ("skipped, the advisory service knows none of the packages", 0)
    assert audit.verdict([good, unknown]) == ("no known vulnerability in 1 of 2 packages", 0)
    assert audit.verdict([good, bad]) == ("known vulnerabilities in b 2: CVE-1, CVE-2", 1)
