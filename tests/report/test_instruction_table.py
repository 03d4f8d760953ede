"""Instructions of edgefer bench --device emulated: the table, and reading them in edgefer report."""

import json

import pytest

from edgefer.errors import DataError
from edgefer.report.instruction_table import instruction_table
from edgefer.report.loading import read_results
from edgefer.report.report_data import read_report_data
from edgefer.report.sections.instructions import counts_section
from edgefer.results import schema
from edgefer.results.instructions import InstructionCounts, InstructionRecord, LatencyEstimate

COUNTS = InstructionCounts(int8_mac=6_500_000, float=300_000, load_store=1_700_000, other=2_200_000)
SUBJECT = {"file": "nano-int8.tflite", "file_bytes": 9, "sha256": "a" * 64, "scheme": "int8"}
PLAIN = InstructionRecord(SUBJECT, "litert", {"pi4": COUNTS})
ESTIMATE = LatencyEstimate("Pi 4, 1.5 GHz", latency_ms=6.54, error=0.12, tested=5)
ESTIMATED = InstructionRecord(SUBJECT, "litert", {"pi3": COUNTS, "pi4": COUNTS}, {"pi4": ESTIMATE})


def test_a_record_survives_json():
    for record in (PLAIN, ESTIMATED):
        assert InstructionRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert ESTIMATED.to_json()["processors"]["pi4"]["total"] == 10_700_000


@pytest.mark.parametrize("change", [{"processors": {"pi4": {"float": 1}}}, {"processors": []}, {"runtime": 7}])
def test_a_damaged_record_is_refused(change):
    with pytest.raises(DataError):
        InstructionRecord.from_json({**PLAIN.to_json(), **change})


def test_a_table_has_millions_and_estimates_with_their_error():
    text = instruction_table([ESTIMATED]).text()
    assert max(map(len, text.splitlines())) <= 80
    first, second = (line.split() for line in text.splitlines() if line.startswith("nano-int8"))
    assert first[-6:] == ["6.50", "0.30", "1.70", "2.20", "10.70", "-"]
    assert second[-2:] == ["10.70", "6.54"]
    assert "not measured" in " ".join(text.split())
    assert "Pi 4, 1.5 GHz: 12 % of 5 latencies" in " ".join(text.split())
    assert "estimate" not in instruction_table([PLAIN]).markdown()


def test_runtimes_are_a_column_only_if_they_differ():
    other = InstructionRecord(SUBJECT, "tflite_runtime", {"pi4": COUNTS})
    assert "| runtime |" in instruction_table([PLAIN, other]).markdown()
    assert "| runtime |" not in instruction_table([PLAIN]).markdown()


def test_files_are_read_and_shown_in_the_report(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(PLAIN.to_json()))
    several = {**schema.header("instruction_records", 1), "records": [PLAIN.to_json(), ESTIMATED.to_json()]}
    (tmp_path / "several.json").write_text(json.dumps(several))
    assert len(read_results([tmp_path]).instructions) == 3
    data = read_report_data([tmp_path])
    assert counts_section(data).title == "Instructions"
    assert any("10.70" in table.markdown() for table in data.results.tables())
