"""benchmarks/ledgers/throughput.py: training throughput as a table."""

import pytest
from ledgers.throughput import read_throughput, throughput_table

from edgefer.errors import DataError
from edgefer.results import schema

CASE = {
    "backend": "jax",
    "precision": "float32",
    "system": "nano",
    "images_per_s": {"edgefer": [900, 1000, 1100], "generator": [500.0, 400.0, 600.0], "tf.data": [1000, 800, 1250]},
    "input_share": 0.0321,
}


def record(*cases, **changes):
    return {
        **schema.header("training-throughput", 1), "cpu": "AMD EPYC", "cores": 2, "cases": list(cases), **changes,
    }  # fmt: skip


def test_row_has_medians_ranges_ratios_and_the_input_share():
    text = throughput_table(read_throughput(record(CASE))).markdown()
    row = next(line for line in text.splitlines() if "nano" in line)
    for cell in ("1,000 (900-1,100)", "500 (400-600)", "1,000 (800-1,250)", "| 2.00 |", "| 1.00 |", "| 3.2 |"):
        assert cell in row
    assert "AMD EPYC, 2 cores" in text


@pytest.mark.parametrize(
    "change", [{"input_share": "small"}, {"images_per_s": {"edgefer": [1]}}, {"images_per_s": []}, {"system": None}]
)
def test_damaged_case_is_refused(change):
    with pytest.raises(DataError):
        read_throughput(record({**CASE, **change}))


def test_record_of_another_kind_is_refused():
    with pytest.raises(DataError):
        read_throughput(record(CASE, kind="peers"))
