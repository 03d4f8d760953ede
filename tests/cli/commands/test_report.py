import json
import os
import re

import pytest

from edgefer.models import SHIPPED
from edgefer.results.instructions import InstructionCounts, InstructionRecord

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def test_a_folder_becomes_one_table_with_a_row_per_model(edgefer, results, workplace):
    outcome = edgefer("report", results, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"], len(record["groups"])) == ("report", 1, 1)
    rows = {row["scheme"]: row for row in record["groups"][0]["rows"]}
    assert set(rows) == {"int8", "float32", "keras"}
    assert {row["model"] for row in rows.values()} == {"compact_nano"}
    assert rows["int8"]["file_bytes"] == workplace.int8.stat().st_size
    assert rows["int8"]["accuracy"] == workplace.quantized.record["evaluation"]["accuracy"]
    bench = json.loads((results / "compact_nano-int8-bench.json").read_text())["measurements"][0]
    assert rows["int8"]["p50_us"] == bench["invoke"]["p50_us"]
    assert rows["keras"]["p50_us"] is None


def test_the_table_fits_a_terminal_and_names_its_conditions(edgefer, results):
    out = edgefer("report", results).out
    assert max(map(len, out.splitlines())) <= 80
    for text in ("validation split of npz, 70 images", "1 thread of", "warning: compact_nano int8: only 20 runs"):
        assert text in " ".join(out.split())


def test_markdown_has_the_sections_of_the_html_page(edgefer, results, workplace, tmp_path):
    given = (workplace.run, results, workplace.int8)
    outcome = edgefer("report", *given, "--markdown")
    assert outcome.code == 0, outcome.err
    assert edgefer("report", *given, "--html", "page.html").code == 0
    titles = re.findall(r"<h2 [^>]*>(.*?)</h2>", (tmp_path / "page.html").read_text())
    assert re.findall(r"^## (.*)", outcome.out, re.MULTILINE) == titles
    assert len(titles) > 8


def test_a_run_and_its_models_are_shown_in_a_terminal(edgefer, results, workplace):
    outcome = edgefer("report", workplace.run, results, workplace.int8)
    assert outcome.code == 0, outcome.err
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "keras" in outcome.out


def test_a_card_describes_one_model_and_its_results(edgefer, refused, results, workplace, tmp_path):
    outcome = edgefer("report", workplace.int8, results, "--card", "card.md", "--json")
    assert outcome.code == 0, outcome.err
    assert (outcome.record["kind"], outcome.record["file"]) == ("model_card", "card.md")
    text = (tmp_path / "card.md").read_text()
    assert text.startswith("# compact_nano, int8\n")
    assert "Not known" not in text
    assert outcome.record["timings"] == 1
    assert "name one .tflite" in refused("report", results, "--card", "none.md", code=2)
    assert not (tmp_path / "none.md").exists()


def test_results_of_different_devices_are_not_mixed(edgefer, results, tmp_path):
    record = json.loads((results / "compact_nano-int8-bench.json").read_text())
    record["measurements"][0]["device"]["cpu"] = "Cortex-A76"
    (tmp_path / "pi.json").write_text(json.dumps(record))
    groups = edgefer("report", results, "pi.json", "--json").record["groups"]
    assert len(groups) == 2
    assert groups[1]["circumstances"]["device"]["cpu"] == "Cortex-A76"
    assert [row["scheme"] for row in groups[1]["rows"]] == ["int8"]


def test_the_table_is_written_between_the_markers_of_a_document(edgefer, results, tmp_path):
    document = tmp_path / "README.md"
    document.write_bytes(f"# Title\r\n{BEGIN}\nold numbers\n{END}\r\nrest\n".encode())
    outcome = edgefer("report", results, "--into", "README.md")
    assert outcome.code == 0, outcome.err
    assert outcome.out == "README.md: 5 rows written\n"
    written = document.read_bytes().decode()
    assert written.startswith(f"# Title\r\n{BEGIN}\n\n| model |")
    assert written.endswith(f"\n\n{END}\r\nrest\n")
    assert "old numbers" not in written
    assert edgefer("report", results, "--into", "README.md").code == 0
    assert document.read_bytes().decode() == written
    assert os.listdir(tmp_path) == ["README.md"]


def test_section_selects_the_markers(edgefer, results, tmp_path):
    other = "<!-- results x86:begin -->\nkept\n<!-- results x86:end -->"
    (tmp_path / "R.md").write_text(f"{other}\n<!-- results pi:begin -->\n<!-- results pi:end -->\n")
    assert edgefer("report", results, "--into", "R.md", "--section", "pi").code == 0
    assert (tmp_path / "R.md").read_text().startswith(f"{other}\n<!-- results pi:begin -->\n\n| model |")


@pytest.mark.parametrize("document", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}"])
def test_without_valid_markers_the_document_is_not_changed(refused, results, tmp_path, document):
    (tmp_path / "README.md").write_text(document)
    error = refused("report", results, "--into", "README.md", code=2)
    assert error.endswith(f"once each: {BEGIN} and {END}\n")
    assert (tmp_path / "README.md").read_text() == document


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("predictions.json", '{"kind": "predictions", "schema_version": 1}'),
        ("list.json", "[1, 2]"),
        ("plain.json", '{"accuracy": 1.0}'),
        ("text.json", "accuracy 99 %"),
        ("binary.json", "\x00"),
        ("damaged.json", '{"kind": "evaluation", "schema_version": 1}'),
        ("empty.json", ""),
    ],
)
def test_the_error_for_another_kind_of_file_contains_its_name(refused, results, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert name in refused("report", results, name, code=1)
    assert name in refused("report", results, tmp_path, code=1)


def test_a_later_schema_is_incompatible(refused, tmp_path):
    (tmp_path / "later.json").write_text('{"kind": "bench", "schema_version": 99, "measurements": []}')
    error = refused("report", "later.json", code=5)
    assert "later.json" in error
    assert "pip install --upgrade edgefer" in error


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["nowhere.json"], 1, "nowhere.json"),
        (["empty"], 1, "empty contains no *.json"),
        (["--section", "pi"], 2, "--into"),
        (["--into", "nowhere.md"], 1, "nowhere.md"),
    ],
)
def test_invalid_arguments_get_a_hint(refused, results, tmp_path, arguments, code, named):
    (tmp_path / "empty").mkdir()
    given = [] if code == 1 and arguments[0] != "--into" else [results]
    assert named in refused("report", *given, *arguments, code=code)


def test_a_page_shows_a_run_its_models_and_its_results(edgefer, results, workplace, tmp_path):
    outcome = edgefer("report", workplace.run, results, workplace.int8, "--html", "page.html", "--json")
    assert outcome.code == 0, outcome.err
    written = (tmp_path / "page.html").read_bytes()
    assert written.startswith(b"<!doctype html>\n<html lang=\"en\">")
    record = outcome.record
    assert (record["kind"], record["file"], record["bytes"]) == ("report_page", "page.html", len(written))
    assert {"training", "models", "verdicts", "pareto", "confusion", "latency"} <= set(record["sections"])
    assert set(record["missing"]) == {"Layers"}
    assert str(workplace.data).encode() not in written
    assert edgefer("report", workplace.run, results, workplace.int8, "--html", "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == written
    assert sorted(os.listdir(tmp_path)) == ["again.html", "page.html"]


def test_a_page_lists_its_missing_sections(edgefer, results):
    out = edgefer("report", results / "compact_nano-int8-bench.json", "--html", "page.html").out
    assert out.startswith("page.html: 4 sections, ")
    assert "no training: edgefer report RUN --html FILE" in out


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--html", "p.html", "--markdown"], 2, "omit --markdown"),
        (["--html", "p.html", "--into", "README.md"], 2, "omit --into"),
        (["broken.tflite", "--html", "p.html"], 1, "broken.tflite"),
        (["nowhere.tflite", "--html", "p.html"], 1, "nowhere.tflite"),
        (["nowhere", "--html", "p.html"], 1, "nowhere"),
    ],
)
def test_invalid_arguments_write_no_page(refused, results, tmp_path, arguments, code, named):
    (tmp_path / "broken.tflite").write_bytes(b"TFL3")
    assert named in refused("report", results, *arguments, code=code)
    assert sorted(os.listdir(tmp_path)) == ["broken.tflite"]


def test_instructions_without_an_evaluation_are_a_report(edgefer, tmp_path):
    counts = InstructionCounts(int8_mac=6_500_000, float=300_000, load_store=1_700_000, other=2_200_000)
    subject = {"file": "nano-int8.tflite", "file_bytes": 9, "sha256": "a" * 64, "scheme": "int8"}
    record = InstructionRecord(subject, "litert", {"pi4": counts}).to_json()
    (tmp_path / "counts.json").write_text(json.dumps(record))
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    for options in ((), ("--markdown",), ("--into", "README.md"), ("--json",)):
        outcome = edgefer("report", "counts.json", *options)
        assert outcome.code == 0, outcome.err
        assert "10.70" in outcome.out or options[:1] in (("--into",), ("--json",))
    assert "10.70" in (tmp_path / "README.md").read_text()


def test_markdown_of_a_model_without_results_describes_it(edgefer):
    outcome = edgefer("report", SHIPPED, "--markdown")
    assert outcome.code == 0, outcome.err
    assert "## Models" in outcome.out


def test_files_without_anything_to_show_are_an_error(edgefer):
    edgefer("inspect", SHIPPED, "--out", "inspection.json")
    for options in ((), ("--markdown",)):
        outcome = edgefer("report", "inspection.json", *options)
        assert (outcome.code, "no results to compare" in outcome.err) == (1, True)
