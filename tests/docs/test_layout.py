"""The tests are laid out as CONTRIBUTING says: what two of them need is in tests/support."""

from __future__ import annotations

import ast

from tests.support.paths import ROOT

MODULES = sorted((ROOT / "tests").rglob("*.py"))


def imported(source: str) -> set[str]:
    """The dotted names that a module imports; ``from a import b`` may mean the module a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_test_module_imports_another_one():
    assert len(MODULES) > 50
    for module in MODULES:
        parts = [part for name in imported(module.read_text()) for part in name.split(".")]
        assert not [part for part in parts if part.startswith("test_") or part == "conftest"], module


def test_imports_are_found_in_every_form():
    source = "import tests.a.test_b\nfrom tests.a import test_c\ndef f():\n    from tests.test_d import e\n"

    assert imported(source) == {"tests.a.test_b", "tests.a.test_c", "tests.test_d.e"}
