"""benchmarks/report.py: the project's tables, cards and drawings from its results."""

import json
import shutil
from pathlib import Path

import pytest
import report

from edgefer.models import SHIPPED
from edgefer.report.html.page import render_page
from edgefer.report.sections.report import build_report
from edgefer.results import schema

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
TRIAL = {
    "name": "a", "system": "compact_nano", "settings": {}, "epochs": 9, "teachers": [], "public_float_percent": 61,
    "public_int8_percent": 60.9, "bytes": 90_000, "parameters": 9, "macs": 9, "p50_us": None, "shipped": True,
}  # fmt: skip
PEER = {
    "name": "their net", "what": "an Xception", "source": "a paper", "bytes": 51_200, "public_percent": 65.8,
    "private_percent": 67.0, "mmacs": 14.25, "p50_us": 234, "measured_here": True, "note": "",
}  # fmt: skip


def markers(name):
    return f"<!-- results {name}:begin -->\n<!-- results {name}:end -->\n"


@pytest.fixture
def checkout(quantized, evaluated, measured, tmp_path):
    """Return a checkout with one shipped model and results of each kind."""
    models, results = tmp_path / "edgefer" / "models", tmp_path / "benchmarks" / "results"
    models.mkdir(parents=True)
    shutil.copy(SHIPPED, models)
    sha256 = report.read([SHIPPED]).models[0].artifact.sha256
    counts = {
        **schema.header("arm64", 1), "subject": {"file": SHIPPED.name, "sha256": sha256}, "data": "faces", "faces": 9,
        "instructions": {"litert": {"Pi 4": 8_450_000}}, "parity": [],
    }  # fmt: skip
    written = {
        "pi4/int8.json": quantized(sha256),
        "pi4/bench.json": measured(sha256).to_json(),
        "shipped/int8.json": quantized(sha256),
        "shipped/evaluation.json": evaluated(sha256, file=SHIPPED.name, file_bytes=20_480).to_json(),
        f"arm64-emulated/{SHIPPED.stem}.arm64.json": counts,
        "search.json": {**schema.header("search", 1), "entries": [TRIAL]},
        "peers.json": {**schema.header("peers", 1), "peers": [PEER]},
    }
    for name, record in written.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(json.dumps(record))
    (tmp_path / "README.md").write_text(markers("pi4"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "quantization.md").write_text(markers("quantization"))
    names = ("arm64-emulated", "search", "peers")
    (tmp_path / "benchmarks" / "README.md").write_text("".join(map(markers, names)))
    return tmp_path


def test_every_section_card_and_drawing_is_written(checkout):
    lines = list(report.update(checkout))
    assert len(lines) == 7
    row = "| small | int8 | 20 | 75.0 (53.1-88.8) | 66.7 | 74.9 | 100.0 | 110.0 |"
    assert row in (checkout / "README.md").read_text()
    document = (checkout / "benchmarks" / "README.md").read_text()
    assert f"| {SHIPPED.stem} | litert | 8.45 |" in document
    assert "](search.svg)\n\n| trial |" in document
    assert f"| **{SHIPPED.stem}** | 20 | 75.0 (53.1-88.8) |" in document
    assert "| 8.4 / - |" in document
    assert (checkout / "benchmarks" / "search.svg").read_text().startswith("<svg ")
    assert f"{SHIPPED.stem}, ships" in (checkout / "docs" / "images" / "models.svg").read_text()
    card = (checkout / "edgefer" / "models" / SHIPPED.name).with_suffix(".md").read_text()
    assert f"| {SHIPPED.stem} | litert | 8.45 |" in card
    assert report.EMULATED in card


def test_a_second_run_changes_nothing(checkout):
    list(report.update(checkout))
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    list(report.update(checkout))
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == before


def test_missing_results_leave_their_sections_unchanged(checkout):
    (checkout / "benchmarks" / "results" / "search.json").unlink()
    assert not [line for line in report.update(checkout) if "search" in line]
    assert markers("search") in (checkout / "benchmarks" / "README.md").read_text()


def test_the_projects_records_are_sections_of_a_page():
    inputs = [RESULTS / "arm64-emulated", *(RESULTS / f"{name}.json" for name in ("systems", "search", "peers"))]
    built = build_report(report.read(inputs), parts=report.PARTS)
    sections = {section.name: section for _, section in built.sections}
    assert {"instructions", "claims", "search", "peers"} <= set(sections)
    counted = json.loads((RESULTS / "arm64-emulated" / "compact_small-int8.arm64.json").read_text())
    rows = {tuple(row[:2]): row for row in sections["instructions"].blocks[0].rows}
    known = counted["instructions"]["litert"]["Pi 4"]
    assert f"{known / 1e6:.2f}" in rows[("compact_small-int8", "litert")]
    systems = json.loads((RESULTS / "systems.json").read_text())["systems"]
    assert [row[0] for row in sections["claims"].blocks[0].rows] == [entry["system"] for entry in systems]
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in render_page(built)


def test_a_hostile_name_is_text_on_the_page(tmp_path):
    hostile = "</style><script>alert(1)</script>|"
    record = {**schema.header("search", 1), "entries": [{**TRIAL, "name": hostile, "system": hostile}]}
    (tmp_path / "search.json").write_text(json.dumps(record))
    built = build_report(report.read([tmp_path / "search.json"]), parts=report.PARTS)
    assert [section.name for _, section in built.sections] == ["search"]
    assert "<script>alert" not in render_page(built)
