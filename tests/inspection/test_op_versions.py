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
def test_first_runtime_of_an_operator_version(operator: str, version: int, runtime: str | None) -> None:
    assert minimum_runtime(operator, version) == runtime


def test_newer_operator_versions_never_have_an_older_runtime() -> None:
    for operator, runtimes in FIRST_RUNTIMES.items():
        known = [runtime for runtime in runtimes.split() if runtime != "-"]
        assert not any(is_newer(earlier, later) for earlier, later in pairwise(known)), operator


def test_every_operator_exists_in_the_schema() -> None:
    schema = pytest.importorskip(SCHEMA)
    assert set(FIRST_RUNTIMES) <= set(vars(schema.BuiltinOperator))


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [("2.15", "2.14", True), ("2.9", "2.14", False), ("2.14.4", "2.14", True), ("2.14.0", "2.14", False)],
)
def test_versions_compare_as_numbers(version: str, other: str, expected: bool) -> None:
    assert is_newer(version, other) is expected


def test_minimum_runtime_equals_the_one_that_the_converter_declared(tiny, shipped) -> None:
    for model in (*tiny.values(), shipped):
        runtimes = [minimum_runtime(op.name, op.version) for op in model.main.ops]
        assert None not in runtimes
        newest = next(runtime for runtime in runtimes if not any(is_newer(other, runtime) for other in runtimes))
        assert not is_newer(model.declared_runtime, newest)
        assert not is_newer(newest, model.declared_runtime)
