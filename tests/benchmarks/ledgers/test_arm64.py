from __future__ import annotations

from typing import Any

import pytest
from ledgers.arm64 import Arm64, instructions_table, parity_table

from edgefer.errors import DataError
from edgefer.results import schema


def board(identical: float, agreement: float, step: float, golden: bool = True) -> dict[str, Any]:
    return {
        "identical": identical, "top1_agreement": agreement, "largest_difference": step, "golden_worst": 0.0,
        "golden_ok": golden,
    }  # fmt: skip


RECORD = {
    **schema.header("arm64", 1),
    "subject": {"file": "small-int8.tflite"},
    "data": "PublicTest of fer2013.csv",
    "faces": 500,
    "instructions": {"litert": {"Pi 4": 8453055, "Pi 5": 2786948}},
    "parity": [{"runtime": "litert", "boards": {"Pi 4": board(0.996, 1.0, 1), "Pi 5": board(0.99, 0.998, 2)}}],
}  # fmt: skip


def test_tables_show_the_counts_and_the_worst_board() -> None:
    records = (Arm64.from_json(RECORD),)
    counts, parity = instructions_table(records), parity_table(records)
    assert parity is not None
    assert "| small-int8 | litert | 8.45 | 2.79 |" in counts.markdown().splitlines()
    assert "| small-int8 | litert | 99.00 | 99.80 | 2 | ok |" in parity.markdown().splitlines()
    assert parity.legend.endswith("500 faces of PublicTest of fer2013.csv.")
    assert max(map(len, [*counts.text().splitlines(), *parity.text().splitlines()])) <= 80


def test_golden_vectors_that_are_off_on_one_board_are_off() -> None:
    boards = {"Pi 4": board(1, 1, 0), "Pi 5": board(1, 1, 0, golden=False)}
    off = Arm64.from_json({**RECORD, "parity": [{"runtime": "litert", "boards": boards}]})
    table = parity_table((off,))
    assert table is not None
    assert table.rows[0][-1] == "off"


def test_a_model_without_parity_gets_no_parity_table() -> None:
    assert parity_table((Arm64.from_json({**RECORD, "parity": []}),)) is None


def test_a_board_without_a_count_is_a_dash() -> None:
    other = {**RECORD, "subject": {"file": "other.tflite"}, "instructions": {"litert": {"Pi 3": 1_000_000}}}
    counts = instructions_table((Arm64.from_json(RECORD), Arm64.from_json(other)))
    assert [list(row) for row in counts.rows] == [
        ["small-int8", "litert", "8.45", "2.79", None], ["other", "litert", None, None, "1.00"],
    ]  # fmt: skip


def test_a_record_with_missing_or_invalid_counts_is_refused() -> None:
    with pytest.raises(DataError, match="instructions"):
        Arm64.from_json({key: value for key, value in RECORD.items() if key != "instructions"})
    with pytest.raises(DataError, match="Pi 4"):
        Arm64.from_json({**RECORD, "instructions": {"litert": {"Pi 4": "many"}}})
