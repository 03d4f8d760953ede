import json

import numpy as np
import pytest

from edgefer.models import SHIPPED
from edgefer.report.html.page import render_page
from edgefer.report.report_data import read_report_data
from edgefer.report.sections.quantization import accuracy_section
from edgefer.report.sections.report import build_report


@pytest.fixture
def data(run_folder):
    return read_report_data([run_folder])


@pytest.fixture
def recorded(quantized, tmp_path):
    """Return the data of one quantization record."""

    def read(**fields):
        path = tmp_path / "quantization.json"
        path.write_text(json.dumps(quantized(**fields)))
        return read_report_data([path])

    return read


def test_the_accuracy_change_matches_the_record(data, cells, quantized):
    (row,) = cells(data, "Accuracy change from the float network")
    comparison = quantized()["verdict"]
    low, high = comparison["difference_interval_95_points"]
    assert row["points (95 %)"] == f"{comparison['difference_points']:+.2f} ({low:+.2f} to {high:+.2f})"
    assert (row["float, %"], row["accuracy, %"]) == ("75.00", "75.00")
    assert row["McNemar p"] == f"{comparison['mcnemar_p']:.2g}"
    assert (row["same label, %"], row["kernels agree, %"]) == ("90.00", "99.12")
    assert row["thresholds"] == "none missed"


def test_the_calibrated_error_is_next_to_the_uncalibrated_one(recorded, cells):
    fitted = {"n": 20, "temperature": 0.8, "ece": 0.04, "calibrated_ece": 0.0123}
    for fields, expected in (({"confidence": fitted}, "1.2"), ({}, None)):
        (row,) = cells(recorded(**fields), "Accuracy change")
        assert row["ECE calibrated, %"] == expected
        assert "→" in row["ECE, %"]


def test_a_missed_threshold_is_reported(recorded, cells):
    (row,) = cells(recorded(gates_broken=["2.00 points were lost, 1 may be"]), "Accuracy change")
    assert row["thresholds"] == "missed: 2.00 points were lost, 1 may be"


@pytest.mark.parametrize(
    ("only_float", "only_quantized", "style"), [(4, 0, None), (40, 10, "worse"), (10, 40, "better"), (0, 0, None)]
)
def test_a_change_is_colored_if_it_is_significant(quantized, tmp_path, only_float, only_quantized, style):
    record = quantized()
    counts = {"n": 3589, "parent_correct": 2400, "own_correct": 2400 + only_quantized - only_float}
    counts |= {"only_parent_correct": only_float, "only_own_correct": only_quantized}
    # An interval that earlier versions stored.
    record["verdict"] |= {**counts, "difference_interval_95_points": [-0.22, -0.03]}
    (tmp_path / "quantization.json").write_text(json.dumps(record))
    table, _ = accuracy_section(read_report_data([tmp_path])).blocks
    assert table.rows[0][5].style == style


def test_changed_labels_are_corrected_newly_wrong_or_wrong_before_and_after(data, cells):
    (row,) = cells(data, "Images with a changed label")
    names = ("images", "changed", "corrected", "newly wrong", "wrong before and after")
    assert [row[name] for name in names] == ["20", "2", "1", "1", "0"]


def test_classes_have_intervals_and_old_records_have_wider_ones(data, cells, quantized, tmp_path):
    rows = {row["class"]: row for row in cells(data, "Recall per class")}
    assert [rows["sad"][name] for name in ("n", "correct before", "correct now", "points")] == ["10", 7, 7, "+0.00"]
    old = quantized()
    for delta in old["verdict"]["per_class"]:
        del delta["only_parent"], delta["only_own"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    wide = {row["class"]: row for row in cells(read_report_data([tmp_path / "old.json"]), "Recall per class")}
    assert wide["sad"]["95 % interval"].startswith("~ ")

    def width(row):
        low, high = map(float, row["95 % interval"].removeprefix("~ ").split(" to "))
        assert low < 0 < high
        return high - low

    assert width(rows["sad"]) < width(wide["sad"])


def test_confusion_matrices_are_float_quantized_and_their_difference(recorded, cells, quantized):
    record = quantized()
    parent, quantized_counts = (np.array(record[name]["confusion"]) for name in ("parent", "evaluation"))
    data = recorded()
    for caption, counts in (("small, float", parent), ("small, int8 minus float", quantized_counts - parent)):
        rows = cells(data, caption)
        assert [[int(value) for value in list(row.values())[1:]] for row in rows] == counts.tolist()


def test_layers_are_the_results_of_debug_layers(data, cells):
    (row,) = cells(data, "small, int8: sensitive layers: stem")
    assert list(row.values()) == ["stem (sensitive)", "CONV_2D", "31.2", "0.9994", "1.23", "48.5", "+7.9"]


def test_a_value_that_rounds_to_zero_has_a_plus(recorded, cells, layer):
    (row,) = cells(recorded(layers=[{**layer, "float_gain_db": -0.01}]), "small, int8: sensitive layers: stem")
    assert row["if float, dB"] == "+0.0"


def test_changed_images_are_listed_by_row_and_label(data, cells, recorded):
    rows = cells(data, f"Images whose label {SHIPPED.name} changes")
    assert [list(row.values()) for row in rows] == [
        ["17", "happy", "happy", "sad", "51.2", "45.7"], ["4", "sad", "fear", "sad", "40.0", "39.0"],
    ]  # fmt: skip
    assert "The .flips.csv next to a model lists the images" in render_page(build_report(recorded()))
