"""benchmarks/ledgers/latency_fit.py: predictions as a table."""

import pytest
from ledgers.latency_fit import latency_fit_table, read_latency_fits

from edgefer.errors import DataError
from edgefer.results import schema

PREDICTIONS = [
    {
        "network": "a", "dtype": "int8", "threads": 4, "published_ms": 5, "single_thread_ms": 10.0,
        "predicted_ms": 12.5, "without_family_ms": 15.0,
    },
    {
        "network": "b", "dtype": "float32", "threads": 1, "published_ms": 20.0, "single_thread_ms": 20.0,
        "predicted_ms": 19.0, "without_family_ms": None,
    },
]  # fmt: skip
BOARD = {
    "board": "Pi 4", "clock_ghz": 1.5, "cycles": {"int8_mac": 0.5, "float": 1, "load_store": 2, "other": 1.25},
    "predictions": PREDICTIONS,
}  # fmt: skip


def record(**changes):
    return {**schema.header("latency-fit", 1), "boards": {"pi4": {**BOARD, **changes}}}


def test_rows_have_errors_and_the_legend_has_the_fit():
    text = " ".join(latency_fit_table(read_latency_fits(record())).markdown().split())
    assert "| Pi 4, 1.5 GHz | a-int8 | 5 | 4 | 10.0 | 12.5 | +25 |" in text
    assert "| 19.0 | -5 |" in text
    assert "int8 mean error 25 %, largest 25 %, without the family 50 %" in text
    assert "float32 mean error 5 %, largest 5 %;" in text
    assert "a = 0.50, b = 1.00, c = 2.00, d = 1.25" in text


@pytest.mark.parametrize("change", [{"cycles": {}}, {"predictions": [{"network": "a"}]}, {"board": 4}])
def test_a_damaged_record_is_refused(change):
    with pytest.raises(DataError):
        read_latency_fits(record(**change))
