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


def test_later_versions_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="schema version 2"):
        records.check({"kind": "measurement", "schema_version": 2}, "measurement", 1)


@pytest.mark.parametrize("version", [None, "1"])
def test_odd_versions_are_not_called_later(version: object) -> None:
    with pytest.raises(DataError, match="whole number"):
        records.check({"kind": "measurement", "schema_version": version}, "measurement", 1)


def test_fields_are_asked_for_by_name_and_type() -> None:
    records.require({"threads": 1, "load": None}, threads=int, load=(float, type(None)))
    with pytest.raises(DataError, match="without 'threads'"):
        records.require({}, threads=int)
    with pytest.raises(DataError, match="'threads' is str: int or NoneType was expected"):
        records.require({"threads": "1"}, threads=(int, type(None)))
