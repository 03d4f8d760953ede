"""How sure a model may be: the temperature that its logits are divided by before they become probabilities.

    confidence = measure_confidence(logits, labels)
    confidence.temperature                          # for the contract
    confidence.ece, confidence.calibrated_ece       # expected calibration error without it and with it

A network that was trained with smoothed labels is too modest, and one that was trained for long too sure. One number
mends most of either (Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2): it changes no
label, only how sure the model says that it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.results.temperature import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, TemperatureFit
from edgefer.statistics import calibration_error, cross_entropy, softmax

__all__ = ["fit_temperature", "measure_confidence"]

# Where it is looked for. Answers that are all right want 0, and answers that are no better than chance want infinity.
COLDEST, HOTTEST = 1 / 8, 8.0
# Of the temperature itself, relative; what is written into a contract has as many digits.
TOLERANCE, DIGITS = 1e-5, 4
GOLDEN = (math.sqrt(5) - 1) / 2

Logits = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]


def measure_confidence(logits: Logits, labels: Labels) -> TemperatureFit:
    """Fit a temperature to ``logits`` (n, classes) that were given for images with ``labels`` (n,), and judge it.

    The halves are every other image, in the order that the data have them: the same ones each time.
    """
    logits = logits.astype(np.float64)
    probabilities, half = np.empty_like(logits), np.arange(len(labels)) % 2
    for one in (0, 1):
        there = fit_temperature(logits[half != one], labels[half != one])
        probabilities[half == one] = softmax(logits[half == one], temperature=there)
    return TemperatureFit(
        n=len(labels),
        temperature=fit_temperature(logits, labels),
        ece=calibration_error(softmax(logits), labels),
        calibrated_ece=calibration_error(probabilities, labels),
    )


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The temperature with the least cross-entropy; 1 for no image at all.

    Cross-entropy is convex in 1 / temperature, so it has one valley, also over the logarithm of the temperature, and a
    golden-section search walks into it.
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
