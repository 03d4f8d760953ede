import json

from edgefer.report.report_data import read_report_data
from edgefer.report.sections.tradeoff import front, points


def test_a_point_joins_accuracy_latency_and_size(run_folder):
    known = points(read_report_data([run_folder]))
    (point,) = [point for point in known if point.scheme == "int8" and point.p50_us == 100]
    assert (point.accuracy, point.p50_us, point.file_bytes) == (75.0, 100.0, 20480)
    assert point.device == "Cortex-A76, litert 2.3.0, 1 thread"


def test_no_point_beats_the_front(evaluated, measured, tmp_path):
    known = {"a": (100, 15), "b": (200, 18), "c": (150, 14), "d": (200, 18), "e": (300, 17)}
    for name, (p50_us, right) in known.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(evaluated(name * 64, right=right, model=name).to_json()))
        bench = measured(name * 64, p50_us=p50_us, file=f"{name}-int8.tflite")
        (tmp_path / f"{name}-bench.json").write_text(json.dumps(bench.to_json()))
    found = points(read_report_data([tmp_path]))
    assert len(found) == 5
    assert sorted(point.model for point in front(found, "p50_us")) == ["a", "b", "d"]


def test_a_size_of_zero_is_omitted(measured, evaluated, tmp_path):
    record = measured().to_json()
    record["subject"]["file_bytes"] = 0
    (tmp_path / "a.json").write_text(json.dumps(record))
    (tmp_path / "b.json").write_text(json.dumps(evaluated().to_json()))
    assert [point.file_bytes for point in points(read_report_data([tmp_path]))] == [None]
