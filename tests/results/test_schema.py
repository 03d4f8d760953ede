from __future__ import annotations

import json
from typing import Any

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.results import schema
from edgefer.results.schema import Fields


def test_record_with_the_expected_header_is_read() -> None:
    record = schema.read({**schema.header("measurement", 1), "more": 1}, "measurement", 1)
    assert record.integer("more") == 1
    schema.read(schema.header("measurement", 1), "measurement", 2)


@pytest.mark.parametrize("fields", [{}, {"kind": "evaluation", "schema_version": 1}, {"kind": ["measurement"]}])
def test_other_kinds_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="expected 'measurement'"):
        schema.read(fields, "measurement", 1)


def test_later_versions_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="schema version 2"):
        schema.read({"kind": "measurement", "schema_version": 2}, "measurement", 1)


@pytest.mark.parametrize("version", [None, "1", True, 1.0])
def test_invalid_versions_are_refused(version: object) -> None:
    with pytest.raises(DataError, match="expected an integer"):
        schema.read({"kind": "measurement", "schema_version": version}, "measurement", 1)


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("method", "valid", "invalid"),
    [
        ("text", "x", [1, None, ["x"]]),
        ("flag", False, [0, None, "true"]),
        ("integer", -3, [1.0, True, "1", None, 2**63, 10**400]),
        ("count", 0, [-1, 1.5, [1]]),
        ("number", -0.5, ["0.5", True, None, NAN, INFINITY, 1e300, 10**400]),
        ("amount", 0.5, [-0.5, NAN, {}]),
        ("share", 1, [1.01, -0.1, "1"]),
        ("items_of", [1, "x"], ["x", {"a": 1}, None]),
        ("interval", (1, 2.5), [[2, 1], [1], [1, 2, 3], [1, "2"], [1, NAN], 1]),
        ("texts", ("a",), ["a", ["a", 1], None]),
        ("numbers", (1, 2.5), [[1, None], [NAN], 2]),
        ("integers", (1, 2), [[1.0], [True], "12"]),
        ("plain", {"a": [1, {"b": None}]}, [[1], "x", {"a": [NAN]}, {"a": {"b": -INFINITY}}]),
    ],
)
def test_values_have_the_type_of_their_method(method: str, valid: Any, invalid: list[Any]) -> None:
    fields = {"key": list(valid) if isinstance(valid, tuple) else valid}
    assert getattr(Fields(fields), method)("key") == valid
    for value in invalid:
        with pytest.raises(DataError, match=r"^key(\W|$)"):
            getattr(Fields({"key": value}), method)("key")
    with pytest.raises(DataError, match="key is missing"):
        getattr(Fields({}), method)("key")


def test_errors_name_the_place_the_value_and_the_expected_type() -> None:
    record = Fields({"runs": [{"invoke": {"p50_us": "fast"}}]})
    with pytest.raises(DataError) as failure:
        record.objects("runs")[0].object("invoke").number("p50_us")
    assert failure.value.what == "runs[0].invoke.p50_us is 'fast'"
    assert failure.value.why == "expected a number of at most 1e+18"
    with pytest.raises(DataError, match=r"runs\[0\]\.invoke\.p90_us is missing"):
        record.objects("runs")[0].object("invoke").number("p90_us")
    with pytest.raises(DataError, match=r"causes\[1\] is 3"):
        Fields({"causes": ["a", 3]}).texts("causes")


def test_optional_values_can_be_missing_or_null() -> None:
    fields = Fields({"a": None, "b": "x", "c": 2})
    assert fields.optional(fields.number, "a") is None
    assert fields.optional(fields.number, "absent") is None
    assert fields.optional(fields.number, "c") == 2
    with pytest.raises(DataError, match="b is 'x'"):
        fields.optional(fields.number, "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": [0, {"b": NaN}]}', r"a\[1\]\.b is nan"),
        ('{"a": 1e999}', "a is inf"),
        (f'{{"a": {10**100}}}', "a is an integer of 333 bits"),
        ('{"a": 1' + "0" * 10_000 + "}", "not JSON|a is an integer"),
        ("[" * 200 + "]" * 200, "too deep"),
        ("[" * 200_000, "too deep"),
    ],
)
def test_json_that_cannot_be_written_again_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        schema.parse_json(text)


def test_json_with_unusual_but_valid_content_is_parsed() -> None:
    value = {"name": "caf\udce9", "seed": 2**64 - 1, "nested": [[[{}]]]}
    assert schema.parse_json(json.dumps(value).encode()) == value
    assert schema.parse_json(b"\xef\xbb\xbf{}") == {}


def test_settings_of_a_later_version_are_refused() -> None:
    schema.refuse_unknown({"threads": 1}, ["threads"], "the request")
    with pytest.raises(IncompatibleError, match="unknown setting fan_speed"):
        schema.refuse_unknown({"threads": 1, "fan_speed": 3}, ["threads"], "the request")
