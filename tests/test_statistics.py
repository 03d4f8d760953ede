from __future__ import annotations

import math

import numpy as np
import pytest

from edgefer.statistics import (
    MedianInterval,
    calibration_error,
    cross_entropy,
    mcnemar_p,
    median_interval,
    percentile,
    reliability,
    softmax,
    wilson_interval,
)


def test_percentile_is_the_nearest_rank() -> None:
    samples = np.array([50, 20, 15, 40, 35])
    assert [percentile(samples, percent) for percent in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    assert percentile(np.arange(1, 101), 90) == 90
    assert percentile(np.array([7]), 99) == 7


def test_percentile_is_always_a_sample() -> None:
    samples = np.random.default_rng(1).integers(0, 1000, 997)
    for percent in (1, 50, 90, 99):
        value = percentile(samples, percent)
        assert value in samples
        assert (samples <= value).mean() >= percent / 100 > (samples < value).mean()


@pytest.mark.parametrize(
    ("count", "rank", "confidence"), [(5, 1, 0.9375), (6, 1, 0.96875), (9, 2, 0.9609375), (10, 2, 0.978515625)]
)
def test_median_interval_has_the_confidence_of_its_order_statistics(count: int, rank: int, confidence: float) -> None:
    samples = np.random.default_rng(2).permutation(np.arange(1, count + 1)).tolist()
    assert median_interval(samples) == MedianInterval(rank, count + 1 - rank, confidence)


def test_median_interval_covers_the_true_median_as_often_as_it_states() -> None:
    rng = np.random.default_rng(4)
    intervals = [median_interval(rng.exponential(size=5).tolist()) for _ in range(4000)]
    hits = sum(interval.low <= np.log(2) <= interval.high for interval in intervals if interval)
    # Four standard errors of a share of 93.75 % in 4,000 trials.
    assert hits / 4000 == pytest.approx(0.9375, abs=0.016)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_samples_give_no_interval_of_the_median(count: int) -> None:
    assert median_interval(list(range(count))) is None


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (20, 20, (0.8389, 1.0))],
)
def test_wilson_interval(successes: int, n: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(successes, n) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(("successes", "n"), [(3, 55), (81, 263), (2350, 3589), (54, 55)])
def test_the_observed_share_is_1_96_standard_errors_from_both_bounds(successes: int, n: int) -> None:
    # The definition of Wilson's interval: its bounds are 1.96 standard errors from the observed share.
    for end in wilson_interval(successes, n):
        assert abs(successes / n - end) / np.sqrt(end * (1 - end) / n) == pytest.approx(1.959964, abs=1e-6)


def test_wilson_interval_grows_with_confidence() -> None:
    low, high = wilson_interval(60, 100)
    lower, higher = wilson_interval(60, 100, confidence=0.99)
    assert lower < low < 0.6 < high < higher


def test_softmax_sums_to_one_along_the_last_axis_and_keeps_the_dtype():
    logits = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(5), rel=1e-6)
    assert probabilities[0] == pytest.approx(np.exp(logits[0]) / np.exp(logits[0]).sum(), rel=1e-6)
    assert np.array_equal(softmax(logits[0]), probabilities[0])


def test_softmax_and_cross_entropy_do_not_overflow():
    logits = np.float32([[900.0, 0.0], [0.0, -900.0]])
    assert softmax(logits).tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert cross_entropy(logits, np.array([0, 1])) == 450.0


def test_cross_entropy_is_the_mean_of_minus_log_probability():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    assert cross_entropy(logits, np.array([0, 1])) == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)


def test_softmax_does_not_overflow():
    probabilities = softmax(np.float32([1000, 0, -1000]))
    assert probabilities.tolist() == [1, 0, 0]


def test_a_temperature_divides_the_logits_and_keeps_the_labels():
    logits = np.random.default_rng(1).normal(0, 5, (200, 7)).astype(np.float32)
    for temperature in (0.2, 1.0, 3.7):
        probabilities = softmax(logits, temperature=temperature)
        assert probabilities.dtype == np.float32
        assert probabilities == pytest.approx(softmax(logits / np.float32(temperature)), rel=1e-4, abs=1e-12)
        assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert softmax(np.float32([[1000, 0]]), temperature=1e-30).tolist() == [[1, 0]]


def predictions(labels, *, confidence):
    return np.where(np.eye(3)[labels] > 0, confidence, (1 - confidence) / 2)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    answers = np.zeros(100, int)
    labels = np.r_[np.zeros(70, int), np.ones(30, int)]
    assert calibration_error(predictions(answers, confidence=0.9), labels) == pytest.approx(0.2)
    assert calibration_error(predictions(answers, confidence=0.7), labels) == pytest.approx(0.0, abs=1e-12)


def test_over_and_under_confidence_in_different_bins_do_not_cancel():
    answers = np.zeros(50, int)
    probabilities = np.concatenate([predictions(answers, confidence=0.9), predictions(answers, confidence=0.5)])
    labels = np.r_[np.ones(50, int), np.zeros(50, int)]
    assert calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.9 + 0.5 * 0.5)


def test_reliability_bins_predictions_by_confidence() -> None:
    confidence = np.array([0.55, 0.65, 0.95, 0.95, 0.95])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    found = reliability(probabilities, np.array([0, 1, 0, 0, 1]), bins=10)
    assert [(each.n, each.correct) for each in found] == [(0, 0)] * 5 + [(1, 1), (1, 0), (0, 0), (0, 0), (3, 2)]
    assert found[9].accuracy == pytest.approx(2 / 3)
    assert found[9].confidence == pytest.approx(0.95)
    assert found[0].accuracy is found[0].confidence is None
    assert [each.low for each in found] + [found[-1].high] == pytest.approx(np.arange(11) / 10)


def test_full_confidence_is_in_the_last_bin() -> None:
    found = reliability(np.float32([[1, 0, 0]]), np.array([0]))
    assert len(found) == 15
    assert (found[-1].n, found[-1].confidence) == (1, 1.0)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 5), (1, 0), (10, 2), (30, 50), (900, 700)])
def test_mcnemar_p_is_that_of_the_binomial_test(b: int, c: int) -> None:
    trials, fewer = b + c, min(b, c)
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) - trials * math.log(2)
        for k in range(fewer + 1)
    ]
    assert mcnemar_p(b, c) == pytest.approx(min(1.0, 2 * math.fsum(map(math.exp, logs))), abs=1e-12)


def test_mcnemar_p_is_continuous_at_the_limit_of_the_exact_test() -> None:
    exact, approximate = mcnemar_p(49_700, 50_300), mcnemar_p(49_700, 50_301)
    assert approximate == pytest.approx(exact, rel=0.01)
