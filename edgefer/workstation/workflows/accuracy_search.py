"""Search for the cheapest int8 model within an accuracy bound; the search behind ``edgefer quantize --auto``.

    result = search(context, trials, max_drop_points=0.3)
    result.options                                  # None if no candidate meets the bound
    result.record.methods, result.record.candidates # all calibration methods and candidates, in order

The search tries the three calibration methods first. It starts with the one that preserves the most labels on the worst
of several disjoint calibration sets. With the best method, it then gives up bit-exact scales, and keeps the most
sensitive layers in float, one more in each step. The result of the plain converter is measured for comparison and never
selected, because GPTQ rounding and bias correction cost nothing on the board.
"""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefer.progress import Progress, silent
from edgefer.results.accuracy_search import AccuracySearch, Candidate, MethodResult
from edgefer.results.calibration_stability import pairwise_agreement
from edgefer.results.paired_comparison import PairedComparison, compare
from edgefer.workstation.quantization.options import CALIBRATION_METHODS, DEFAULTS, QuantizationOptions
from edgefer.workstation.quantization.sensitivity import sensitive_layers
from edgefer.workstation.workflows.calibration_stability import CalibrationTrials
from edgefer.workstation.workflows.quantization_context import QuantizationContext

__all__ = ["METHOD_SETS", "SearchResult", "make_candidate", "search"]

METHOD_SETS = 3
"""Disjoint calibration sets on which the calibration methods are compared."""
SCHEME = "int8"
PLAIN_CONVERTER = "plain converter"
INEXACT = "8-bit weights, not bit-exact"
MAX_FLOAT_LAYERS = 3


@dataclass(frozen=True)
class SearchResult:
    """The record of a search, with the options of the first candidate within the bound, or None."""

    options: QuantizationOptions | None
    record: AccuracySearch


def search(
    context: QuantizationContext,
    trials: CalibrationTrials,
    *,
    base: QuantizationOptions = DEFAULTS,
    max_drop_points: float,
    progress: Progress = silent,
) -> SearchResult:
    """Quantize to int8 until a model loses at most ``max_drop_points`` of accuracy.

    Args:
        context: the quantization; it keeps every model of the search.
        trials: calibration sets that compare the methods; the first METHOD_SETS are used.
        base: options set by the user; the search keeps them.
        max_drop_points: bound of the loss against the float network, in percentage points.
        progress: called with (steps done, steps, current step).
    """
    return _Search(context, base, max_drop_points, progress).run(trials)


def make_candidate(
    name: str, comparison: PairedComparison, flatbuffer: bytes, *, max_drop_points: float, scheme: str = SCHEME,
    options: QuantizationOptions | None = None, duration_s: float | None = None,
) -> Candidate:  # fmt: skip
    """Return the candidate for a model that was compared with its float network."""
    return Candidate(
        name=name,
        scheme=scheme,
        options=options.to_json() if options else {},
        difference_points=comparison.difference_points,
        interval_points=comparison.interval_points,
        agreement=comparison.agreement,
        model_bytes=len(flatbuffer),
        duration_s=duration_s,
        within_bound=-comparison.difference_points <= max_drop_points,
    )


class _Search:
    """One search in progress."""

    def __init__(
        self, context: QuantizationContext, base: QuantizationOptions, max_drop_points: float, progress: Progress
    ) -> None:
        self._context, self._base, self._max_drop_points, self._progress = context, base, max_drop_points, progress
        self._candidates: list[Candidate] = []

    def run(self, trials: CalibrationTrials) -> SearchResult:
        methods = self._compare_methods(trials)
        options = self._first_within_bound([method.name for method in methods])
        self._report("done", finished=True)
        return SearchResult(options, AccuracySearch(self._max_drop_points, tuple(methods), tuple(self._candidates)))

    def _compare_methods(self, trials: CalibrationTrials) -> list[MethodResult]:
        """Return all calibration methods; the one closest to the float network comes first.

        Agreement among the models would mislead: models with narrow ranges clip alike and agree with each other.
        """
        results = []
        sets = min(METHOD_SETS, len(trials.sets))
        float_labels = self._context.float_logits.argmax(axis=1)
        for done, method in enumerate(CALIBRATION_METHODS):
            self._progress(done, self._steps, f"{method} on {sets} calibration sets")
            options = dataclasses.replace(self._base, calibration_method=method)
            labels = [trials.labels(index, SCHEME, options) for index in range(sets)]
            results.append(_method_result(method, labels, self._context.images.labels, float_labels))
        return sorted(results, key=lambda result: -result.float_agreement)

    def _first_within_bound(self, methods: list[str]) -> QuantizationOptions | None:
        plain = dataclasses.replace(
            self._base, calibration_method="min-max", rounding="nearest", bias_correction=False, bit_exact=False
        )
        self._score(PLAIN_CONVERTER, plain)
        scored = []
        for method in methods:
            options = dataclasses.replace(self._base, calibration_method=method)
            candidate = self._score(method, options)
            if candidate.within_bound:
                return options
            scored.append((candidate.agreement, options))
        best = max(scored, key=lambda pair: pair[0])[1]
        if best.bit_exact:
            best = dataclasses.replace(best, bit_exact=False)
            if self._score(INEXACT, best).within_bound:
                return best
        layers = sensitive_layers(self._context.sensitivity(best))[:MAX_FLOAT_LAYERS]
        for count in range(1, len(layers) + 1):
            patterns = (*self._base.float_layers, *(f"^{re.escape(layer)}$" for layer in layers[:count]))
            options = dataclasses.replace(best, float_layers=patterns)
            if self._score(f"{', '.join(layers[:count])} in float", options).within_bound:
                return options
        return None

    def _score(self, name: str, options: QuantizationOptions) -> Candidate:
        self._report(name)
        context, started = self._context, time.monotonic()
        flatbuffer, logits = context.flatbuffer(SCHEME, options), context.logits(SCHEME, options)
        comparison = compare(context.float_logits, logits, context.images.labels, label_names=context.run.labels)
        duration = round(time.monotonic() - started, 1)
        candidate = make_candidate(
            name, comparison, flatbuffer, max_drop_points=self._max_drop_points, options=options, duration_s=duration
        )
        self._candidates.append(candidate)
        return candidate

    @property
    def _steps(self) -> int:
        return 2 * len(CALIBRATION_METHODS) + 2 + MAX_FLOAT_LAYERS

    def _report(self, what: str, *, finished: bool = False) -> None:
        done = self._steps if finished else len(CALIBRATION_METHODS) + len(self._candidates)
        self._progress(done, self._steps, what)


def _method_result(
    name: str,
    predictions: list[npt.NDArray[np.intp]],
    labels: npt.NDArray[np.int64],
    float_labels: npt.NDArray[np.intp],
) -> MethodResult:
    return MethodResult(
        name=name,
        accuracies=tuple(float((predicted == labels).mean()) for predicted in predictions),
        agreement=pairwise_agreement(predictions),
        float_agreement=min(float((predicted == float_labels).mean()) for predicted in predictions),
    )
