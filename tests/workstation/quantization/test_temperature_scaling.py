import math

import numpy as np
import pytest

from edgefer.results.temperature import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from edgefer.statistics import calibration_error, cross_entropy, softmax
from edgefer.workstation.quantization.temperature_scaling import fit_temperature, measure_confidence


def honest(count, *, seed=0):
    """Logits whose softmax is the very chance of each label, and labels that were drawn by that chance."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (count, 7))
    drawn = (softmax(logits).cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return logits, np.minimum(drawn, 6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_temperature_that_was_put_in_is_found(temperature):
    logits, labels = honest(20_000)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_nothing_near_it_has_less_cross_entropy():
    logits, labels = honest(500)
    found = fit_temperature(3 * logits, labels)
    grid = found * np.exp(np.linspace(-0.5, 0.5, 201))
    losses = [cross_entropy(3 * logits / each, labels) for each in grid]
    assert cross_entropy(3 * logits / found, labels) <= min(losses) + 1e-9


def test_error_is_told_on_images_that_had_no_say_in_the_temperature():
    logits, labels = honest(301)
    even, odd = np.arange(301) % 2 == 0, np.arange(301) % 2 == 1
    probabilities = np.empty_like(logits)
    for own, other in ((even, odd), (odd, even)):
        probabilities[own] = softmax(2 * logits[own] / fit_temperature(2 * logits[other], labels[other]))
    found = measure_confidence(2 * logits, labels)
    assert found.n == 301
    assert found.calibrated_ece == pytest.approx(calibration_error(probabilities, labels))
    assert found.ece == calibration_error(softmax(2 * logits), labels)
    assert found.calibrated_ece < 0.6 * found.ece
    assert found == measure_confidence(2 * logits, labels)


def test_answers_that_are_all_right_or_all_wrong_end_at_a_bound():
    labels = np.arange(70) % 7
    logits = 3.0 * np.eye(7)[labels]
    assert fit_temperature(logits, labels) == pytest.approx(LOWEST_TEMPERATURE, rel=1e-3)
    assert fit_temperature(logits, (labels + 1) % 7) == pytest.approx(HIGHEST_TEMPERATURE, rel=1e-3)
    assert measure_confidence(logits, labels).at_bound
    assert not measure_confidence(*honest(300)).at_bound


def test_huge_logits_and_a_single_image_are_taken():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = measure_confidence(np.float32([[900, 0, -900]]), np.array([1]))
    assert (found.n, found.ece) == (1, 1.0)
    assert math.isfinite(found.calibrated_ece)
