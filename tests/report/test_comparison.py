import json

import pytest

from edgefer.errors import DataError
from edgefer.report.comparison import compare, to_json

A, B = "a" * 64, "b" * 64


def cells(group):
    return [(row.model, row.evaluation is not None, row.measurement is not None) for row in group.rows]


def test_records_are_joined_by_digest_and_not_by_name(evaluated, measured):
    renamed = measured(A, file="mine.tflite")
    namesake = measured(B, file="small-int8.tflite")
    (group,) = compare([evaluated(A)], [renamed, namesake])
    assert cells(group) == [("mine", True, True), ("small", False, True)]


def test_the_name_of_a_model_leaves_out_the_suffix_of_its_scheme(evaluated):
    (group,) = compare([evaluated(A, model="small-int8"), evaluated(B, model="small-int8-mine")], [])
    assert [(row.model, row.scheme) for row in group.rows] == [("small", "int8"), ("small-int8-mine", "int8")]


@pytest.mark.parametrize(
    "other",
    [{"device": {"cpu": "Cortex-A72"}}, {"device": {"cores": 2}}, {"threads": 4}, {"runtime": "tflite_runtime"}],
)
def test_other_measurement_conditions_form_another_group(evaluated, measured, other):
    first, second = compare([evaluated(A)], [measured(A), measured(A, p50_us=50, **other)])
    assert [row.measurement.p50_us for row in first.rows] == [100]
    assert [row.measurement.p50_us for row in second.rows] == [50]
    assert first.circumstances != second.circumstances


@pytest.mark.parametrize("other", [{"split": "PrivateTest"}, {"data": "npz"}, {"n": 22}])
def test_other_images_form_another_group(evaluated, measured, other):
    groups = compare([evaluated(A), evaluated(A, **other)], [measured(A)])
    assert [cells(group) for group in groups] == [[("small", True, True)]] * 2
    assert groups[0].images != groups[1].images


def test_a_model_with_half_its_records_joins_a_group_that_fits(evaluated, measured):
    (group,) = compare([evaluated(B, model="base"), evaluated(A)], [measured(A), measured("c" * 64, file="c.tflite")])
    assert cells(group) == [("base", True, False), ("small", True, True), ("c", False, True)]


def test_halves_of_different_models_are_not_grouped_without_a_complete_row(evaluated, measured):
    assert len(compare([evaluated(A)], [measured(B)])) == 2


def test_equal_records_count_once_and_different_records_are_separate_rows(evaluated, measured):
    (group,) = compare([evaluated(A), evaluated(A)], [measured(A), measured(A)])
    assert len(group.rows) == 1
    (group,) = compare([evaluated(A)], [measured(A), measured(A, p50_us=120)])
    assert len(group.rows) == 2


def test_fields_of_two_records_of_one_score_are_merged(evaluated):
    of_quantize = evaluated(A, file="small-int8.tflite", file_bytes=20480)
    of_evaluate = evaluated(A, runtime="litert", runtime_version="2.3.0")
    (group,) = compare([of_quantize, of_evaluate], [])
    (row,) = group.rows
    assert (row.file_bytes, row.subject["runtime"]) == (20480, "litert")


def test_a_measurement_is_joined_with_the_score_of_its_own_runtime(evaluated, measured):
    other = evaluated(A, right=12, runtime="tflite_runtime", runtime_version="2.14.0")
    own = evaluated(A, right=15, runtime="litert", runtime_version="2.3.0")
    (group,) = compare([other, own], [measured(A)])
    assert [(row.evaluation.accuracy.correct, row.measurement is not None) for row in group.rows] == [
        (15, True),
        (12, False),
    ]
    assert group.warnings() == ()


def test_a_score_of_another_runtime_gives_a_warning(evaluated, measured):
    (group,) = compare([evaluated(A, runtime="tflite_runtime", runtime_version="2.14.0")], [measured(A)])
    assert group.warnings() == ("small int8: scored with tflite_runtime 2.14.0, timed with litert 2.3.0",)


def test_warnings_of_a_measurement_name_the_model(evaluated, measured):
    (group,) = compare([evaluated(A)], [measured(A, runs=20)])
    assert group.warnings() == ("small int8: only 20 runs; a p90 needs at least 1,024",)


def test_the_measurement_conditions_are_described(measured):
    board = {"board": "Raspberry Pi 5 Model B", "governor": None}
    plain, named = (group.circumstances for group in compare([], [measured(A), measured(A, device=board, threads=4)]))
    assert plain == "Cortex-A76, governor performance, litert 2.3.0, 1 thread of 4 cores"
    assert named == "Raspberry Pi 5 Model B (Cortex-A76), litert 2.3.0, 4 threads of 4 cores"


def test_empty_results_and_records_without_a_digest_are_refused(evaluated):
    with pytest.raises(DataError, match="no results"):
        compare([], [])
    with pytest.raises(DataError, match="does not identify its model"):
        compare([evaluated(None)], [])


def test_to_json_is_plain(evaluated, measured):
    record = to_json(compare([evaluated(A), evaluated(B, n=0 + 2)], [measured(A)]))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    whole, half = record["groups"]
    assert (whole["images"]["n"], whole["circumstances"]["threads"]) == (20, 1)
    assert whole["rows"][0]["sha256"] == A
    assert whole["rows"][0]["accuracy"]["correct"] == 15
    assert whole["rows"][0]["accuracy_unseen_in_training"]["n"] == 15
    assert half["circumstances"] is None
