"""The statistics that results are told with: percentiles of samples, and intervals that say how far to trust a number.

    percentile(latencies_ns, 90)
    percentile_interval(latencies_ns, 50)           # where the median lies with 95 % confidence
    wilson_interval(2350, 3589)                     # the same for a share, such as an accuracy
    softmax(logits), cross_entropy(logits, labels)  # what logits say, and how far that is from the labels
    reliability(softmax(logits), labels)            # how often a model is right when it is so sure
    calibration_error(softmax(logits), labels)      # the same in one number
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ConfidenceBin", "calibration_error", "cross_entropy", "percentile", "percentile_interval", "reliability",
    "softmax", "wilson_interval",
]  # fmt: skip

BINS = 15


@dataclass(frozen=True)
class ConfidenceBin:
    """The answers that a model is about equally sure of.

    Attributes:
        low, high: bounds of the confidence, in 0..1; ``high`` belongs to the next bin, and 1 to the last.
        n: how many answers.
        correct: how many of them are right.
        confidence: their mean confidence; None for no answers.
    """

    low: float
    high: float
    n: int
    correct: int
    confidence: float | None

    @property
    def accuracy(self) -> float | None:
        """In 0..1; None for no answers."""
        return self.correct / self.n if self.n else None


def percentile(samples: npt.NDArray[Any], percent: float) -> Any:
    """The nearest-rank percentile of samples (n,), n >= 1: the smallest one that ``percent`` % of them do not exceed.

    It is always a value that was measured, and p90 is never better than what a tenth of the runs took. This is
    definition 1 of Hyndman and Fan, Sample Quantiles in Statistical Packages, The American Statistician 50 (1996).
    """
    return np.percentile(samples, percent, method="inverted_cdf")


def percentile_interval(
    samples: npt.NDArray[Any], percent: float, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Any, Any]:
    """Bootstrap interval of percentile(samples, percent): (low, high), both of them samples; the same for a seed.

    It is the percentile interval, without resampling: the k-th smallest of n draws with replacement from n sorted
    samples is the one at position ceil(n u), where u is the k-th smallest of n uniform numbers, and that has the
    distribution Beta(k, n + 1 - k). So one Beta number stands for a whole resample, and half a million samples cost no
    more than a hundred.

    Samples are taken as independent. Latencies are not quite so: read a wide interval as a warning, and a narrow one
    with reserve.
    """
    ordered = np.sort(samples)
    count = len(ordered)
    rank = max(1, math.ceil(count * percent / 100))
    uniform = np.random.default_rng(seed).beta(rank, count + 1 - rank, size=resamples)
    drawn = ordered[np.clip(np.ceil(count * uniform).astype(np.int64) - 1, 0, count - 1)]
    tail = 50 * (1 - confidence)
    return percentile(drawn, tail), percentile(drawn, 100 - tail)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval (low, high) in 0..1 for a share of ``successes`` in ``n`` >= 1 independent trials.

    Wilson's, because the usual plus-minus interval is too short for shares near 0 or 1 and for the 55 images of a rare
    class (Wilson, Probable Inference, Journal of the American Statistical Association 22, 1927).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def softmax(logits: npt.NDArray[np.floating[Any]], *, temperature: float = 1.0) -> npt.NDArray[Any]:
    """Probabilities along the last axis, in the dtype of ``logits`` (..., classes).

    A ``temperature`` above 1 takes confidence away and one below adds some; which class is the most probable stays.
    """
    # Without the subtraction float32's exp() overflows from a logit of 89 on.
    powers = np.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def cross_entropy(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> float:
    """Mean of -log softmax at the label, in nats, of (n, classes) and (n,); computed in the dtype of ``logits``."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())


def reliability(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]], *, bins: int = BINS
) -> tuple[ConfidenceBin, ...]:
    """How often ``probabilities``, (n, classes), are right about ``labels``, (n,), in equal bins of confidence.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equations 1 and 2; 15 bins as there.
    """
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    counts, correct = np.bincount(places, minlength=bins), np.bincount(places[right], minlength=bins)
    sums = np.bincount(places, weights=confidence, minlength=bins)
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
    """Expected calibration error of ``probabilities``, (n, classes), in 0..1, over 15 equal bins of confidence.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.
    """
    bins = [each for each in reliability(probabilities, labels) if each.confidence is not None]
    return sum(abs(each.correct - each.n * (each.confidence or 0.0)) for each in bins) / len(labels)
