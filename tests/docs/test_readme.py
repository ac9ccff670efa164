"""The README says what the code says."""

from __future__ import annotations

import re

from service.settings import Settings
from tests.support.paths import ROOT


def test_every_setting_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()

    documented = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", readme, flags=re.MULTILINE))

    assert documented == {name.upper() for name in Settings.__dataclass_fields__}
