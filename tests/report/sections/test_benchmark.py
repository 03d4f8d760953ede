import json
from dataclasses import replace

from edgefer.models import SHIPPED
from edgefer.report.html.page import render_page
from edgefer.report.report_data import read_report_data
from edgefer.report.sections.benchmark import benchmark_section
from edgefer.report.sections.blocks import BulletList, Columns, Heading, Histogram
from edgefer.report.sections.latency import latency_section
from edgefer.report.sections.report import build_report


def test_latencies_match_the_benchmark(run_folder, cells, measured):
    rows = cells(read_report_data([run_folder]), "Latency, in microseconds")
    assert [(row["scheme"], row["p50, us"], row["p90, us"], row["p99, us"], row["runs"]) for row in rows] == [
        ("int8", f"{bench.p50_us:.1f}", f"{bench.p90_us:.1f}", f"{bench.p99_us:.1f}", "2,000")
        for bench in (measured(), measured(p50_us=110))
    ]


def test_interval_of_the_p50_has_its_confidence_and_one_round_has_none(measured, cells, tmp_path):
    rounds = tuple(1000 * time_us for time_us in (104, 98, 100, 99, 107))
    (tmp_path / "a.json").write_text(json.dumps(replace(measured(), rounds_p50_ns=rounds).to_json()))
    (tmp_path / "b.json").write_text(json.dumps(measured("b" * 64, file="b.tflite").to_json()))
    intervals = [row["interval of p50"] for row in cells(read_report_data([tmp_path]), "Latency, in")]
    assert sorted(intervals, key=str) == ["98.0 to 107.0 (94 %)", None]


def test_raw_samples_give_a_histogram(run_folder):
    section = latency_section(read_report_data([run_folder]))
    (columns,) = [block for block in section.blocks if isinstance(block, Columns)]
    (histogram,) = columns.blocks
    assert isinstance(histogram, Histogram)
    assert histogram.label.startswith("Histogram of the latency of small, int8")
    assert (len(histogram.samples), histogram.marks["p50"]) == (2000, 100.0)


def test_without_samples_there_are_only_bars(measured, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(measured().to_json()))
    page = render_page(build_report(read_report_data([tmp_path])))
    assert "Histogram of" not in page
    assert "edgefer bench MODEL.tflite --samples" in page
    assert 'class="bar p99"' in page


def test_a_latency_of_zero_is_shown(measured, evaluated, cells, tmp_path):
    record = measured(p50_us=0, runs=3).to_json()
    (tmp_path / "a.json").write_text(json.dumps(record))
    assert cells(read_report_data([tmp_path]), "Latency, in")[0]["p50, us"] == "0.0"


def test_benchmarks_show_ratios_causes_and_the_device_over_time(run_folder, cells, hostile):
    data = read_report_data([run_folder])
    section = benchmark_section(data)
    (title,) = [block.text for block in section.blocks if isinstance(block, Heading)]
    assert title == "small, int8 and small-float32, int8 on pi4, Cortex-A76"
    (row,) = cells(data, "Latency ratio, measured alternately")
    assert row["model"].startswith("small-float32")
    assert row["relative to"].startswith("small, int8")
    assert (row["ratio"], row["interval"]) == ("1.10", "1.05 to 1.15 (94 %)")
    (causes,) = [block.items for block in section.blocks if isinstance(block, BulletList)]
    assert list(causes) == [hostile]
    soak = cells(data, "Long run of small, int8")
    assert [(each["s"], each["p90, us"], each["C"], each["throttled by"]) for each in soak] == [
        ("10", "110.0", "50", None), ("20", "120.0", "70", "too hot"),
    ]  # fmt: skip
    (columns,) = [block for block in section.blocks if isinstance(block, Columns)]
    assert "temperature, C over seconds" in [chart.label for chart in columns.blocks]


def test_an_artifact_shows_its_contract(cells):
    (row,) = cells(read_report_data([SHIPPED]), "Model files")
    assert (row["model"], row["scheme"], row["input"]) == (SHIPPED.name, "int8", "gray 48 x 48")
    assert row["KiB with contract"] == f"{SHIPPED.stat().st_size / 1024:,.1f}"
    fields = {each["field"]: each["value"] for each in cells(read_report_data([SHIPPED]), "Contract of")}
    assert fields["labels"].startswith("angry, ")
