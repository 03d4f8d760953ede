"""Compute percentiles, confidence intervals, McNemar's test, softmax, cross-entropy and calibration error.

    percentile(latencies_ns, 90)
    percentile_interval(latencies_ns, 50)           # 95 % confidence interval of the median
    wilson_interval(2350, 3589)                     # 95 % confidence interval of an accuracy
    mcnemar_p(30, 50)                               # p-value of the difference between two paired accuracies
    softmax(logits), cross_entropy(logits, labels)
    reliability(softmax(logits), labels)            # accuracy by confidence
    calibration_error(softmax(logits), labels)      # expected calibration error
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ConfidenceBin", "calibration_error", "cross_entropy", "mcnemar_p", "percentile", "percentile_interval",
    "reliability", "softmax", "wilson_interval",
]  # fmt: skip

BINS = 15
# McNemar's test is exact up to this number of discordant samples and uses the normal approximation above.
MAX_EXACT_TRIALS = 100_000


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


def percentile(samples: npt.NDArray[Any], percent: float) -> Any:
    """Return the nearest-rank percentile: the smallest sample that at least ``percent`` % of the samples do not exceed.

    The result is always a measured value, never an interpolation. This is definition 1 of Hyndman and Fan, Sample
    Quantiles in Statistical Packages, The American Statistician 50 (1996).

    Args:
        samples: shape (n,), n >= 1.
        percent: percentage in 0..100.
    """
    return np.percentile(samples, percent, method="inverted_cdf")


def percentile_interval(
    samples: npt.NDArray[Any], percent: float, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Any, Any]:
    """Return the bootstrap interval of percentile(samples, percent).

    The percentile bootstrap needs no resampling here. The k-th smallest of n draws with replacement from n sorted
    samples is the sample at position ceil(n u), where u is the k-th smallest of n uniform numbers. Its distribution is
    Beta(k, n + 1 - k). One Beta number therefore replaces a whole resample.

    The samples are assumed to be independent. Latencies are correlated, so their true interval is wider.

    Args:
        samples: shape (n,), n >= 1.
        percent: percentage in 0..100.
        confidence: confidence level in 0..1.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling; equal seeds give equal intervals.

    Returns:
        The lower and the upper bound; both are samples.
    """
    ordered = np.sort(samples)
    count = len(ordered)
    rank = max(1, math.ceil(count * percent / 100))
    uniform = np.random.default_rng(seed).beta(rank, count + 1 - rank, size=resamples)
    drawn = ordered[np.clip(np.ceil(count * uniform).astype(np.int64) - 1, 0, count - 1)]
    tail = 50 * (1 - confidence)
    return percentile(drawn, tail), percentile(drawn, 100 - tail)


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
