"""Fit the softmax temperature that calibrates a model's probabilities.

    confidence = measure_confidence(logits, labels)
    confidence.temperature                          # for the contract
    confidence.ece, confidence.calibrated_ece       # expected calibration error without it and with it

Label smoothing makes a network underconfident, long training makes it overconfident. Dividing the logits by one
temperature corrects most of either and changes no predicted label (Guo et al., "On calibration of modern neural
networks", ICML 2017, section 4.2).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.results.temperature_scaling import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, TemperatureFit
from edgefer.statistics import calibration_error, cross_entropy, softmax

__all__ = ["fit_temperature", "measure_confidence"]

# Relative tolerance of the search, and decimal places of the result.
TOLERANCE, DIGITS = 1e-5, 4
GOLDEN = (math.sqrt(5) - 1) / 2

Logits = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]


def measure_confidence(logits: Logits, labels: Labels) -> TemperatureFit:
    """Fit a temperature and measure the expected calibration error with two-fold cross-fitting.

    Even and odd images form the two halves; each is scored with the temperature of the other.

    Args:
        logits: floating-point (n, classes).
        labels: integer (n,).
    """
    logits = logits.astype(np.float64)
    probabilities, half = np.empty_like(logits), np.arange(len(labels)) % 2
    for scored in (0, 1):
        temperature = fit_temperature(logits[half != scored], labels[half != scored])
        probabilities[half == scored] = softmax(logits[half == scored], temperature=temperature)
    return TemperatureFit(
        n=len(labels),
        temperature=fit_temperature(logits, labels),
        ece=calibration_error(softmax(logits), labels),
        calibrated_ece=calibration_error(probabilities, labels),
    )


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Return the temperature of minimum cross-entropy, or 1 without images.

    Cross-entropy is convex in 1 / temperature, so it has one minimum over the logarithm of the temperature, which a
    golden-section search finds.

    Args:
        logits: floating-point (n, classes).
        labels: integer (n,).
    """
    if not len(labels):
        return 1.0
    logits = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        return cross_entropy(logits / math.exp(log_temperature), labels)

    low, high = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    while high - low > TOLERANCE:
        if left_loss <= right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - GOLDEN * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + GOLDEN * (high - low)
            right_loss = loss(right)
    return round(math.exp((low + high) / 2), DIGITS)
