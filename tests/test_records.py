from __future__ import annotations

from typing import Any

import pytest

from edgefer import records
from edgefer.errors import DataError, IncompatibleError


def test_a_stamp_passes_its_check() -> None:
    records.check({**records.stamp("measurement", 1), "more": 1}, "measurement", 1)
    records.check(records.stamp("measurement", 1), "measurement", 2)


@pytest.mark.parametrize("fields", [{}, {"kind": "evaluation", "schema_version": 1}])
def test_other_kinds_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="'measurement' was expected"):
        records.check(fields, "measurement", 1)


@pytest.mark.parametrize("version", [2, None, "1"])
def test_later_and_odd_versions_are_refused(version: object) -> None:
    with pytest.raises(IncompatibleError, match=f"schema version {version}"):
        records.check({"kind": "measurement", "schema_version": version}, "measurement", 1)
