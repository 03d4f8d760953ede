from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgefer.cli.main import run
from edgefer.errors import DataError
from edgefer.report.arm64 import Arm64, arm64_tables
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
    counts, answers = arm64_tables((Arm64.from_json(RECORD),))
    assert "| small-int8 | litert | 8.45 | 2.79 |" in counts.markdown().splitlines()
    assert "| small-int8 | litert | 99.00 | 99.80 | 2 | ok |" in answers.markdown().splitlines()
    assert answers.legend.endswith("500 faces of PublicTest of fer2013.csv.")
    assert max(map(len, [*counts.text().splitlines(), *answers.text().splitlines()])) <= 80


def test_golden_vectors_that_are_off_on_one_board_are_off() -> None:
    boards = {"Pi 4": board(1, 1, 0), "Pi 5": board(1, 1, 0, golden=False)}
    off = Arm64.from_json({**RECORD, "parity": [{"runtime": "litert", "boards": boards}]})
    assert arm64_tables((off,))[1].rows[0][-1] == "off"


def test_a_board_that_was_not_counted_is_a_dash() -> None:
    other = {**RECORD, "subject": {"file": "other.tflite"}, "instructions": {"litert": {"Pi 3": 1_000_000}}}
    counts, _ = arm64_tables((Arm64.from_json(RECORD), Arm64.from_json(other)))
    assert [list(row) for row in counts.rows] == [
        ["small-int8", "litert", "8.45", "2.79", None], ["other", "litert", None, None, "1.00"],
    ]  # fmt: skip


def test_a_record_without_its_counts_is_refused() -> None:
    with pytest.raises(DataError, match="instructions"):
        Arm64.from_json({key: value for key, value in RECORD.items() if key != "instructions"})
    with pytest.raises(DataError, match="Pi 4"):
        Arm64.from_json({**RECORD, "instructions": {"litert": {"Pi 4": "many"}}})


def test_report_puts_a_folder_of_them_into_a_document(tmp_path: Path) -> None:
    results = tmp_path / "arm64-emulated"
    results.mkdir()
    (results / "small.arm64.json").write_text(json.dumps(RECORD))
    document = tmp_path / "README.md"
    document.write_text("<!-- results arm64-emulated:begin -->\n<!-- results arm64-emulated:end -->\n")
    assert run(["report", str(results), "--into", str(document), "--section", "arm64-emulated"]) == 0
    assert "| small-int8 | litert | 8.45 | 2.79 |" in document.read_text()
