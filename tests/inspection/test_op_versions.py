from itertools import pairwise

import pytest

from edgefer.inspection.flatbuffer import SCHEMA
from edgefer.inspection.op_versions import FIRST_RUNTIMES, is_newer, minimum_runtime


@pytest.mark.parametrize(
    ("operator", "version", "runtime"),
    [
        ("FULLY_CONNECTED", 9, "2.3"),
        ("FULLY_CONNECTED", 10, "2.11"),
        ("FULLY_CONNECTED", 11, "2.15"),
        ("FULLY_CONNECTED", 12, "2.17"),
        ("FULLY_CONNECTED", 13, "2.18"),
        ("FULLY_CONNECTED", 14, "2.21"),
        ("CONV_2D", 3, "1.14"),
        ("CONV_2D", 8, "2.15"),
        ("DEPTHWISE_CONV_2D", 7, "2.11"),
        ("ADD", 5, "2.13"),
        ("PAD", 5, "2.20"),
        ("BROADCAST_TO", 1, None),
        ("BROADCAST_TO", 2, "2.5"),
        ("CONV_2D", 99, None),
        ("CONV_2D", 0, None),
        ("CONV_2D", -1, None),
        ("NO_SUCH_OPERATOR", 1, None),
    ],
)
def test_what_the_table_says(operator: str, version: int, runtime: str | None) -> None:
    assert minimum_runtime(operator, version) == runtime


def test_a_later_version_of_an_operator_came_no_earlier() -> None:
    for operator, runtimes in FIRST_RUNTIMES.items():
        known = [each for each in runtimes.split() if each != "-"]
        assert not any(is_newer(earlier, later) for earlier, later in pairwise(known)), operator


def test_every_operator_is_one_of_the_schema() -> None:
    schema = pytest.importorskip(SCHEMA)
    assert set(FIRST_RUNTIMES) <= set(vars(schema.BuiltinOperator))


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [("2.15", "2.14", True), ("2.9", "2.14", False), ("2.14.4", "2.14", True), ("2.14.0", "2.14", False)],
)
def test_versions_are_compared_as_numbers(version: str, other: str, expected: bool) -> None:
    assert is_newer(version, other) is expected


def test_the_models_here_need_what_their_converter_wrote_into_them(tiny, shipped) -> None:
    for anatomy in (*tiny.values(), shipped):
        found = [minimum_runtime(op.name, op.version) for op in anatomy.main.ops]
        assert None not in found
        newest = next(each for each in found if not any(is_newer(other, each) for other in found))
        assert not is_newer(anatomy.declared_runtime, newest)
        assert not is_newer(newest, anatomy.declared_runtime)
