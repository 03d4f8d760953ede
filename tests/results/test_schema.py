from __future__ import annotations

from typing import Any

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.results import schema


def test_a_stamp_passes_its_check() -> None:
    schema.validate({**schema.header("measurement", 1), "more": 1}, "measurement", 1)
    schema.validate(schema.header("measurement", 1), "measurement", 2)


@pytest.mark.parametrize("fields", [{}, {"kind": "evaluation", "schema_version": 1}])
def test_other_kinds_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="'measurement' was expected"):
        schema.validate(fields, "measurement", 1)


def test_later_versions_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="schema version 2"):
        schema.validate({"kind": "measurement", "schema_version": 2}, "measurement", 1)


@pytest.mark.parametrize("version", [None, "1"])
def test_odd_versions_are_not_called_later(version: object) -> None:
    with pytest.raises(DataError, match="whole number"):
        schema.validate({"kind": "measurement", "schema_version": version}, "measurement", 1)


def test_fields_are_asked_for_by_name_and_type() -> None:
    schema.require({"threads": 1, "load": None}, threads=int, load=(float, type(None)))
    with pytest.raises(DataError, match="without 'threads'"):
        schema.require({}, threads=int)
    with pytest.raises(DataError, match="'threads' is str: int or NoneType was expected"):
        schema.require({"threads": "1"}, threads=(int, type(None)))
