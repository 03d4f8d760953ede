import math

import numpy as np
import pytest

from edgefer.results.temperature_scaling import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from edgefer.statistics import calibration_error, cross_entropy, softmax
from edgefer.workstation.quantization.temperature_scaling import fit_temperature, measure_confidence


def calibrated_logits(count, *, seed=0):
    """Return logits, float64 (count, 7), and labels drawn with the probabilities of their softmax."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (count, 7))
    drawn = (softmax(logits).cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return logits, np.minimum(drawn, 6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_scaled_logits_is_recovered(temperature):
    logits, labels = calibrated_logits(20_000)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_the_temperature_minimizes_the_cross_entropy():
    logits, labels = calibrated_logits(500)
    temperature = fit_temperature(3 * logits, labels)
    grid = temperature * np.exp(np.linspace(-0.5, 0.5, 201))
    losses = [cross_entropy(3 * logits / other, labels) for other in grid]
    assert cross_entropy(3 * logits / temperature, labels) <= min(losses) + 1e-9


def test_the_calibrated_error_is_cross_fitted():
    logits, labels = calibrated_logits(301)
    even, odd = np.arange(301) % 2 == 0, np.arange(301) % 2 == 1
    probabilities = np.empty_like(logits)
    for scored, fitted in ((even, odd), (odd, even)):
        temperature = fit_temperature(2 * logits[fitted], labels[fitted])
        probabilities[scored] = softmax(2 * logits[scored] / temperature)
    fit = measure_confidence(2 * logits, labels)
    assert fit.n == 301
    assert fit.calibrated_ece == pytest.approx(calibration_error(probabilities, labels))
    assert fit.ece == calibration_error(softmax(2 * logits), labels)
    assert fit.calibrated_ece < 0.6 * fit.ece
    assert fit == measure_confidence(2 * logits, labels)


def test_predictions_that_are_all_correct_or_all_wrong_reach_a_bound():
    labels = np.arange(70) % 7
    logits = 3.0 * np.eye(7)[labels]
    assert fit_temperature(logits, labels) == pytest.approx(LOWEST_TEMPERATURE, rel=1e-3)
    assert fit_temperature(logits, (labels + 1) % 7) == pytest.approx(HIGHEST_TEMPERATURE, rel=1e-3)
    assert measure_confidence(logits, labels).at_bound
    assert not measure_confidence(*calibrated_logits(300)).at_bound


def test_large_logits_and_a_single_image_are_accepted():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        fit = measure_confidence(np.float32([[900, 0, -900]]), np.array([1]))
    assert (fit.n, fit.ece) == (1, 1.0)
    assert math.isfinite(fit.calibrated_ece)
