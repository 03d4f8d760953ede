import json
import math

import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.results.paired_comparison import ClassDelta, PairedComparison, compare, label_changes

NAMES = ("a", "b", "c")


def logits_for(answers, *, confidence=0.9):
    others = (1 - confidence) / 2
    return np.log(np.where(np.eye(3)[answers] > 0, confidence, others))


LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2])
PARENT = np.array([0, 0, 1, 1, 1, 2, 2, 0])
OWN = np.array([0, 1, 0, 1, 2, 2, 2, 1])


@pytest.fixture
def verdict():
    return compare(logits_for(PARENT), logits_for(OWN), LABELS, label_names=NAMES)


def test_counts(verdict):
    assert (verdict.n, verdict.parent_correct, verdict.own_correct) == (8, 5, 4)
    assert (verdict.only_parent, verdict.only_own) == (2, 1)
    assert verdict.agreement == 4 / 8
    assert verdict.difference_points == -12.5


def test_classes(verdict):
    assert [(each.label, each.n, each.parent_correct, each.own_correct) for each in verdict.per_class] == [
        ("a", 3, 2, 2),
        ("b", 3, 2, 1),
        ("c", 2, 1, 1),
    ]
    assert verdict.per_class[1].delta_points == pytest.approx(-100 / 3)


def changed(only_parent, only_own, same):
    labels = np.zeros(only_parent + only_own + same, int)
    parent, own = labels.copy(), labels.copy()
    own[:only_parent] = 1
    parent[only_parent : only_parent + only_own] = 1
    return compare(logits_for(parent), logits_for(own), labels, label_names=NAMES)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 5), (1, 0), (10, 2), (30, 50), (900, 700)])
def test_p_is_the_binomial_test(b, c):
    trials, fewer = b + c, min(b, c)
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) - trials * math.log(2)
        for k in range(fewer + 1)
    ]
    assert changed(b, c, 100).p_value == pytest.approx(min(1.0, 2 * math.fsum(map(math.exp, logs))), abs=1e-12)


def test_the_interval_holds_the_difference_and_has_the_width_that_theory_gives():
    verdict = changed(60, 40, 3489)
    low, high = verdict.interval_points
    assert low < verdict.difference_points < high
    # The variance of the difference of two counts of a multinomial.
    n, b, c = 3589, 60, 40
    expected = 1.96 * 100 * math.sqrt((b + c) / n - ((c - b) / n) ** 2) / math.sqrt(n)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.05)


def test_equal_models_differ_in_nothing():
    verdict = changed(0, 0, 50)
    assert verdict.interval_points == (0.0, 0.0)
    assert verdict.p_value == 1.0
    assert verdict.agreement == 1.0


def test_calibration_errors_are_of_both_models_as_they_are():
    labels = np.r_[np.zeros(70, int), np.ones(30, int)]
    answers = np.zeros(100, int)
    found = compare(logits_for(answers, confidence=0.9), logits_for(answers, confidence=0.7), labels, label_names=NAMES)
    assert found.parent_ece == pytest.approx(0.2)
    assert found.own_ece == pytest.approx(0.0, abs=1e-12)


def test_flips_are_the_changed_images_the_surest_first():
    parent, own = logits_for(PARENT), logits_for(OWN)
    own[4] = logits_for([2], confidence=0.6)[0]
    found = label_changes(parent, own, LABELS)
    assert {flip.index for flip in found} == {1, 2, 4, 7}
    assert found[-1].index == 4
    assert (found[-1].label, found[-1].parent, found[-1].own) == (1, 1, 2)
    assert found[-1].own_probability == pytest.approx(0.6)


def test_flips_have_the_same_temperature_for_both_and_the_same_labels():
    parent, own = logits_for(PARENT), logits_for(OWN)
    plain, warm = label_changes(parent, own, LABELS), label_changes(parent, own, LABELS, temperature=2.0)
    assert {(flip.index, flip.parent, flip.own) for flip in warm} == {(e.index, e.parent, e.own) for e in plain}
    rooted = np.sqrt([0.9, 0.05, 0.05])
    for flip in warm:
        assert flip.parent_probability == pytest.approx(rooted[0] / rooted.sum())
        assert flip.own_probability == pytest.approx(rooted[0] / rooted.sum())


def test_huge_logits_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        huge = np.float32([[900.0, 0.0, 0.0]])
        assert compare(huge, huge, np.array([0]), label_names=NAMES).own_ece == 0.0


def test_a_verdict_is_plain_json(verdict):
    assert json.loads(json.dumps(verdict.to_json(), allow_nan=False))["difference_points"] == -12.5


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError):
        compare(np.zeros((3, 3)), np.zeros((2, 3)), np.zeros(3, int), label_names=NAMES)


def test_a_verdict_survives_its_record(verdict):
    fields = json.loads(json.dumps(verdict.to_json()))
    assert PairedComparison.from_json(fields) == verdict
    for each in fields["per_class"]:
        del each["only_parent"], each["only_own"]
    old = PairedComparison.from_json(fields)
    assert [each.only_own for each in old.per_class] == [None] * 3
    assert old.to_json()["mcnemar_p"] == verdict.p_value


@pytest.mark.parametrize("field", [{"n": 0}, {"own_correct": 9}, {"only_parent_correct": -1}, {"per_class": None}])
def test_a_record_that_cannot_be_is_refused(verdict, field):
    with pytest.raises(DataError):
        PairedComparison.from_json({**verdict.to_json(), **field})


def test_the_interval_of_a_class_is_agresti_and_min():
    # Their formula by hand: (only_own - only_parent) / (n + 2), with the variance of the adjusted counts.
    low, high = ClassDelta("a", 100, 80, 74, only_parent=9, only_own=3).interval_points
    half = 1.959964 * math.sqrt(9 + 3 + 1 - 36 / 102)
    assert (low, high) == pytest.approx((100 * (-6 - half) / 102, 100 * (-6 + half) / 102))


def test_the_interval_of_an_old_class_is_newcombe():
    # Example (b) of table II of his paper, method 10: 9 of 10 against 3 of 10.
    assert ClassDelta("a", 10, 3, 9).interval_points == pytest.approx((17.05, 80.90), abs=0.005)
    assert ClassDelta("a", 0, 0, 0).interval_points is None
    assert ClassDelta("a", 3, 0, 3).interval_points[1] <= 100


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (0, 100)])
def test_an_interval_holds_what_it_is_of(b, c):
    delta = changed(b, c, 200).per_class[0]
    low, high = delta.interval_points
    assert -100 <= low <= delta.delta_points <= high <= 100
