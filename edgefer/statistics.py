"""Compute percentiles, confidence intervals, McNemar's test, softmax, cross-entropy and calibration error.

    percentile(latencies_ns, 90)
    median_interval(round_medians_ns)               # confidence interval of the median of independent samples
    wilson_interval(2350, 3589)                     # 95 % confidence interval of an accuracy
    mcnemar_p(30, 50)                               # p-value of the difference between two paired accuracies
    softmax(logits), cross_entropy(logits, labels)
    reliability(softmax(logits), labels)            # accuracy by confidence
    calibration_error(softmax(logits), labels)      # expected calibration error
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ConfidenceBin", "MedianInterval", "calibration_error", "cross_entropy", "mcnemar_p", "median_interval",
    "percentile", "reliability", "softmax", "wilson_interval",
]  # fmt: skip

BINS = 15
# McNemar's test is exact up to this number of discordant samples and uses the normal approximation above.
MAX_EXACT_TRIALS = 100_000
CONFIDENCE = 0.95
MIN_MEDIAN_SAMPLES = 5


@dataclass(frozen=True)
class ConfidenceBin:
    """Predictions of similar confidence.

    Attributes:
        low, high: bounds of the confidence, in 0..1; ``high`` is exclusive, except in the last bin.
        n: number of predictions.
        correct: number of correct predictions.
        confidence: mean confidence; None for an empty bin.
    """

    low: float
    high: float
    n: int
    correct: int
    confidence: float | None

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions, in 0..1; None for an empty bin."""
        return self.correct / self.n if self.n else None


@dataclass(frozen=True)
class MedianInterval:
    """Confidence interval of a median.

    Attributes:
        low, high: bounds, in the unit of the samples.
        confidence: confidence level, in 0..1.
    """

    low: float
    high: float
    confidence: float


def percentile(samples: npt.NDArray[Any], percent: float) -> Any:
    """Return the nearest-rank percentile: the smallest sample that at least ``percent`` % of the samples do not exceed.

    The result is always a measured value, never an interpolation. This is definition 1 of Hyndman and Fan, Sample
    Quantiles in Statistical Packages, The American Statistician 50 (1996).

    Args:
        samples: shape (n,), n >= 1.
        percent: percentage in 0..100.
    """
    return np.percentile(samples, percent, method="inverted_cdf")


def median_interval(samples: Sequence[float]) -> MedianInterval | None:
    """Return the narrowest interval from the k-th smallest to the k-th largest sample with at least 95 % confidence.

    It contains the median of independent samples with the probability 1 - 2 P(X < k), where X is the number of heads in
    n throws of a coin, for any distribution (Thompson, "On confidence ranges for the median and other expectation
    distributions for populations of unknown distribution form", Annals of Mathematical Statistics 7, 1936). Five
    samples reach only 93.75 %, from the smallest to the largest. Fewer than five give None.

    Args:
        samples: independent values, such as the medians of several processes; latencies of one process are correlated.
    """
    count = len(samples)
    if count < MIN_MEDIAN_SAMPLES:
        return None
    tails, total = list(accumulate(math.comb(count, heads) for heads in range(count // 2))), 2**count
    rank = max(1, sum(1 for tail in tails if 1 - 2 * tail / total >= CONFIDENCE))
    ordered = sorted(samples)
    return MedianInterval(ordered[rank - 1], ordered[-rank], 1 - 2 * tails[rank - 1] / total)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's confidence interval (low, high), in 0..1, for ``successes`` in ``n`` >= 1 independent trials.

    The normal approximation is too narrow for shares near 0 or 1, and for small classes such as the 55 test images of
    disgust (Wilson, Probable Inference, Journal of the American Statistical Association 22, 1927).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's test for two classifiers on the same samples, in 0..1.

    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 1947. The
    exact form is the binomial test on the discordant samples, which exactly one classifier labels correctly. Above
    MAX_EXACT_TRIALS of them it is the normal approximation with continuity correction.

    Args:
        only_first: samples that only the first classifier labels correctly, >= 0.
        only_second: samples that only the second classifier labels correctly, >= 0.
    """
    trials, fewer = only_first + only_second, min(only_first, only_second)
    if trials <= 2 * fewer:
        return 1.0
    if trials > MAX_EXACT_TRIALS:
        return math.erfc((trials - 2 * fewer - 1) / math.sqrt(2 * trials))
    # Integers throughout: 2 ** trials exceeds the range of floats at 1,024 discordant samples.
    term = tail = 1
    for count in range(fewer):
        term = term * (trials - count) // (count + 1)
        tail += term
    return float(min(Fraction(1), Fraction(2 * tail, 2**trials)))


def softmax(logits: npt.NDArray[np.floating[Any]], *, temperature: float = 1.0) -> npt.NDArray[Any]:
    """Return probabilities along the last axis of ``logits`` (..., classes), in the same dtype.

    A ``temperature`` above 1 reduces the confidence, one below 1 increases it; the most probable class stays the same.
    """
    # Without the subtraction, exp() overflows in float32 for logits of 89 and more.
    powers = np.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def cross_entropy(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> float:
    """Return the mean cross-entropy, in nats, of ``logits`` (n, classes) and ``labels`` (n,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())


def reliability(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]], *, bins: int = BINS
) -> tuple[ConfidenceBin, ...]:
    """Return accuracy and confidence of ``probabilities`` (n, classes) for ``labels`` (n,), in equal confidence bins.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equations 1 and 2, with 15 bins by default.
    """
    confidence, is_correct = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    indices = np.minimum((confidence * bins).astype(int), bins - 1)
    counts, correct = np.bincount(indices, minlength=bins), np.bincount(indices[is_correct], minlength=bins)
    sums = np.bincount(indices, weights=confidence, minlength=bins)
    return tuple(
        ConfidenceBin(
            low=index / bins,
            high=(index + 1) / bins,
            n=int(counts[index]),
            correct=int(correct[index]),
            confidence=float(sums[index] / counts[index]) if counts[index] else None,
        )
        for index in range(bins)
    )


def calibration_error(probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> float:
    """Return the expected calibration error of ``probabilities`` (n, classes), in 0..1, over 15 equal confidence bins.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.
    """
    bins = [bin_ for bin_ in reliability(probabilities, labels) if bin_.confidence is not None]
    return sum(abs(bin_.correct - bin_.n * (bin_.confidence or 0.0)) for bin_ in bins) / len(labels)
