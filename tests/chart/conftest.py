"""What the tests of the chart share."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from kubernetes_validate import utils


@pytest.fixture(scope="package", autouse=True)
def read_schemas_once() -> Iterator[None]:
    """kubernetes-validate reads its schemas again for each object, which is most of its work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield
