import json
import math

import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.results.paired_comparison import ClassDelta, PairedComparison, compare, label_changes

NAMES = ("a", "b", "c")


def logits_for(predictions, *, confidence=0.9):
    others = (1 - confidence) / 2
    return np.log(np.where(np.eye(3)[predictions] > 0, confidence, others))


LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2])
FLOAT = np.array([0, 0, 1, 1, 1, 2, 2, 0])
QUANTIZED = np.array([0, 1, 0, 1, 2, 2, 2, 1])


@pytest.fixture
def comparison():
    return compare(logits_for(FLOAT), logits_for(QUANTIZED), LABELS, label_names=NAMES)


def test_counts(comparison):
    assert (comparison.n, comparison.float_correct, comparison.quantized_correct) == (8, 5, 4)
    assert (comparison.only_float, comparison.only_quantized) == (2, 1)
    assert comparison.agreement == 4 / 8
    assert comparison.difference_points == -12.5


def test_classes(comparison):
    assert [(delta.label, delta.n, delta.float_correct, delta.quantized_correct) for delta in comparison.per_class] == [
        ("a", 3, 2, 2),
        ("b", 3, 2, 1),
        ("c", 2, 1, 1),
    ]
    assert comparison.per_class[1].delta_points == pytest.approx(-100 / 3)


def changed(only_float, only_quantized, same):
    """Compare models that differ in given numbers of images, all of class a."""
    labels = np.zeros(only_float + only_quantized + same, int)
    float_labels, quantized_labels = labels.copy(), labels.copy()
    quantized_labels[:only_float] = 1
    float_labels[only_float : only_float + only_quantized] = 1
    return compare(logits_for(float_labels), logits_for(quantized_labels), labels, label_names=NAMES)


def test_p_value_is_that_of_mcnemars_test():
    assert changed(10, 2, 100).p_value == pytest.approx(158 / 4096)


def test_interval_contains_the_difference_and_has_the_theoretical_width():
    comparison = changed(60, 40, 3489)
    low, high = comparison.interval_points
    assert low < comparison.difference_points < high
    # Variance of the difference of two counts of a multinomial distribution.
    n, b, c = 3589, 60, 40
    expected = 1.96 * 100 * math.sqrt((b + c) / n - ((c - b) / n) ** 2) / math.sqrt(n)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("only_float", "only_quantized", "n"), [(4, 0, 3589), (0, 0, 7), (0, 3, 3589), (2, 7, 100)])
def test_interval_of_a_difference_within_chance_contains_zero(only_float, only_quantized, n):
    comparison = changed(only_float, only_quantized, n - only_float - only_quantized)
    low, high = comparison.interval_points
    assert comparison.p_value > 0.05
    assert low < 0 < high
    assert (low, high) == comparison.per_class[0].interval_points


def test_equal_models_have_no_difference():
    comparison = changed(0, 0, 50)
    # One half is added to each count: the standard error of the difference is 1 / 52.
    assert comparison.interval_points == pytest.approx((-100 * 1.959964 / 52, 100 * 1.959964 / 52))
    assert comparison.p_value == 1.0
    assert comparison.agreement == 1.0


def test_calibration_errors_use_no_temperature():
    labels = np.r_[np.zeros(70, int), np.ones(30, int)]
    predictions = np.zeros(100, int)
    comparison = compare(
        logits_for(predictions, confidence=0.9), logits_for(predictions, confidence=0.7), labels, label_names=NAMES
    )
    assert comparison.float_ece == pytest.approx(0.2)
    assert comparison.quantized_ece == pytest.approx(0.0, abs=1e-12)


def test_label_changes_come_in_order_of_confidence():
    float_logits, quantized_logits = logits_for(FLOAT), logits_for(QUANTIZED)
    quantized_logits[4] = logits_for([2], confidence=0.6)[0]
    changes = label_changes(float_logits, quantized_logits, LABELS)
    assert {change.index for change in changes} == {1, 2, 4, 7}
    assert changes[-1].index == 4
    assert (changes[-1].label, changes[-1].float_label, changes[-1].quantized_label) == (1, 1, 2)
    assert changes[-1].quantized_probability == pytest.approx(0.6)


def test_temperature_changes_the_probabilities_of_both_models_and_no_label():
    float_logits, quantized_logits = logits_for(FLOAT), logits_for(QUANTIZED)
    plain, warm = (
        label_changes(float_logits, quantized_logits, LABELS),
        label_changes(float_logits, quantized_logits, LABELS, temperature=2.0),
    )
    assert {(c.index, c.float_label, c.quantized_label) for c in warm} == {
        (c.index, c.float_label, c.quantized_label) for c in plain
    }
    softened = np.sqrt([0.9, 0.05, 0.05])
    for change in warm:
        assert change.float_probability == pytest.approx(softened[0] / softened.sum())
        assert change.quantized_probability == pytest.approx(softened[0] / softened.sum())


def test_huge_logits_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        huge = np.float32([[900.0, 0.0, 0.0]])
        assert compare(huge, huge, np.array([0]), label_names=NAMES).quantized_ece == 0.0


def test_record_is_valid_json(comparison):
    assert json.loads(json.dumps(comparison.to_json(), allow_nan=False))["difference_points"] == -12.5


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(DataError):
        compare(np.zeros((3, 3)), np.zeros((2, 3)), np.zeros(3, int), label_names=NAMES)


def test_json_round_trip_with_and_without_counts_per_class(comparison):
    fields = json.loads(json.dumps(comparison.to_json()))
    assert PairedComparison.from_json(fields) == comparison
    for delta in fields["per_class"]:
        del delta["only_parent"], delta["only_own"]
    old = PairedComparison.from_json(fields)
    assert [delta.only_quantized for delta in old.per_class] == [None] * 3
    assert old.to_json()["mcnemar_p"] == comparison.p_value


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 0},
        {"own_correct": 9},
        {"only_parent_correct": -1},
        {"only_own_correct": 7},
        {"per_class": None},
        {"per_class": [{"label": "a", "n": 1, "parent_correct": 2, "own_correct": 0}]},
        {"agreement": 1.5},
    ],
)
def test_impossible_records_are_refused(comparison, fields):
    with pytest.raises(DataError):
        PairedComparison.from_json({**comparison.to_json(), **fields})


def test_interval_of_a_class_is_that_of_agresti_and_min():
    # (only_quantized - only_float) / (n + 2), with the variance of the adjusted counts
    low, high = ClassDelta("a", 100, 80, 74, only_float=9, only_quantized=3).interval_points
    half = 1.959964 * math.sqrt(9 + 3 + 1 - 36 / 102)
    assert (low, high) == pytest.approx((100 * (-6 - half) / 102, 100 * (-6 + half) / 102))


def test_interval_of_a_class_without_counts_is_that_of_newcombe():
    # Newcombe, table II, example (b), method 10: 9 of 10 and 3 of 10.
    assert ClassDelta("a", 10, 3, 9).interval_points == pytest.approx((17.05, 80.90), abs=0.005)
    assert ClassDelta("a", 0, 0, 0).interval_points is None
    assert ClassDelta("a", 3, 0, 3).interval_points[1] <= 100


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (0, 100)])
def test_interval_of_a_class_contains_its_change(b, c):
    delta = changed(b, c, 200).per_class[0]
    low, high = delta.interval_points
    assert -100 <= low <= delta.delta_points <= high <= 100


def test_p_value_of_very_many_changed_images_is_close_to_the_exact_one():
    def p_value(only_float, only_quantized):
        return PairedComparison(10**12, 0, 0, only_float, only_quantized, 1.0, (0.0, 0.0), 0.0, 0.0, ()).p_value

    assert p_value(50_400, 49_600) == pytest.approx(p_value(50_401, 49_600), rel=0.02)
    assert p_value(10**11, 10**11) == 1.0
    assert p_value(10**11, 0) == 0.0
