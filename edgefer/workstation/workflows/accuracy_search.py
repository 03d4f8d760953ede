"""Search for the cheapest int8 model within an accuracy bound; the search behind ``edgefer quantize --auto``.

    found = search(network, parent_logits, images, spec=spec, faces=faces, sets=sets, max_drop_points=0.3)
    found.recipe                                    # None if no candidate meets the bound
    found.methods, found.tries                      # all calibration methods and candidates, in order
    result = with_search(result, found, quantized, max_drop_points=0.3)

The search tries the three calibration methods first. It starts with the one that preserves the most labels on the worst
of several disjoint calibration sets. With the best method, it then keeps the most sensitive layers in float, one more
in each step. The result of the plain converter is measured for comparison and never selected, because GPTQ rounding and
bias correction cost nothing on the board.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.evaluation_set import EvaluationSet
from edgefer.progress import Progress, silent
from edgefer.results.paired_comparison import compare
from edgefer.text_table import Result, table
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.options import DEFAULTS, RANGE_METHODS, QuantizationOptions
from edgefer.workstation.quantization.sensitivity import sensitive_layers, sensitivity
from edgefer.workstation.training.keras_inference import flatbuffer_logits
from edgefer.workstation.workflows.calibration_stability import pairwise_agreement
from edgefer.workstation.workflows.quantize import Quantized

__all__ = ["Candidate", "Method", "SearchResult", "search", "with_search"]

CONVERTER_ALONE = "converter alone"
PLAIN = QuantizationOptions(ranges="min-max", rounding="nearest", bias_correction=False)
MOST_FLOAT_LAYERS = 3
# Layers are told apart by decibels; a hundred faces do.
GAIN_FACES = 100


@dataclass(frozen=True)
class Method:
    """A way to find ranges, tried on disjoint calibration sets.

    Attributes:
        name: of the method.
        accuracies: of one model a set, shares.
        agreement: share of images that two of the models give the same label, mean over all pairs.
        parent_agreement: share of images that a model gives its float parent's label, the least of all sets.
    """

    name: str
    accuracies: tuple[float, ...]
    agreement: float
    parent_agreement: float


@dataclass(frozen=True)
class Candidate:
    """One model that was made and scored.

    Attributes:
        name: what it was.
        scheme: "int8" or "int8_qat".
        recipe: its choices, in plain values.
        difference_points, interval_points: accuracy against the float parent, with its 95 % interval.
        agreement: with the parent's labels.
        model_bytes: of the flatbuffer.
        duration_s: to make and to score it; None where it was trained.
        holds: whether it loses no more than it may.
    """

    name: str
    scheme: str
    recipe: dict[str, Any]
    difference_points: float
    interval_points: tuple[float, float]
    agreement: float
    model_bytes: int
    duration_s: float | None
    holds: bool


@dataclass(frozen=True)
class SearchResult:
    """How a search went; ``recipe`` is the first that held, or None."""

    recipe: QuantizationOptions | None
    methods: tuple[Method, ...]
    tries: tuple[Candidate, ...]


def search(
    network: Any,
    parent_logits: npt.NDArray[np.float32],
    images: EvaluationSet,
    *,
    spec: InputSpec,
    faces: npt.NDArray[np.uint8],
    sets: Sequence[npt.NDArray[np.uint8]],
    base: QuantizationOptions = DEFAULTS,
    max_drop_points: float,
    progress: Progress = silent,
) -> SearchResult:
    """Try int8 models of a float Keras ``network`` until one loses at most ``max_drop_points``.

    Args:
        parent_logits: float32 (n, 7), of the network for ``images``.
        faces: uint8 (m, h, w), prepared, what calibrates the model in the end.
        sets: further such arrays, disjoint, for telling how much depends on the faces.
        base: the choices that are the user's.
    """
    steps = len(sets) + len(RANGE_METHODS) + 1 + MOST_FLOAT_LAYERS
    score = _Scorer(images, spec, parent_logits, max_drop_points)
    progress(0, steps, "converting")
    model = convert(network)
    calibrated_sets = []
    for index, each in enumerate(sets):
        progress(index, steps, f"{len(each)} other faces")
        calibrated_sets.append(Calibrator(model, each))
    methods = [_method(name, calibrated_sets, base, score) for name in RANGE_METHODS]
    # Agreement among the models would not do: those whose ranges clip much agree with each other, not with the parent.
    methods.sort(key=lambda method: -method.parent_agreement)
    calibrated = Calibrator(model, faces)
    tries: list[Candidate] = []
    chosen = None
    for name, recipe in _candidates(calibrated, base, [method.name for method in methods], faces, tries):
        progress(len(sets) + len(tries), steps, name)
        tried = score.tried(name, calibrated, recipe)
        tries.append(tried)
        if tried.holds and name != CONVERTER_ALONE:
            chosen = recipe
            break
    progress(steps, steps, "done")
    return SearchResult(chosen, tuple(methods), tuple(tries))


def _candidates(
    calibrated: Calibrator,
    base: QuantizationOptions,
    methods: list[str],
    faces: npt.NDArray[np.uint8],
    tries: list[Candidate],
) -> Iterator[tuple[str, QuantizationOptions]]:
    """Names and recipes in the order in which they are tried; ``tries`` grows meanwhile."""
    plain = {name: getattr(PLAIN, name) for name in ("ranges", "rounding", "bias_correction")}
    yield CONVERTER_ALONE, dataclasses.replace(base, **plain)
    recipes = [dataclasses.replace(base, ranges=method) for method in methods]
    for recipe in recipes:
        yield recipe.ranges, recipe
    best = max(zip(tries[1:], recipes), key=lambda pair: pair[0].agreement)[1]
    named = sensitive_layers(sensitivity(calibrated, best, faces[:GAIN_FACES]))
    for count in range(1, min(MOST_FLOAT_LAYERS, len(named)) + 1):
        patterns = (*base.float_layers, *(f"^{re.escape(layer)}$" for layer in named[:count]))
        yield f"{', '.join(named[:count])} in float", dataclasses.replace(best, float_layers=patterns)


class _Scorer:
    def __init__(
        self, images: EvaluationSet, spec: InputSpec, parent_logits: npt.NDArray[np.float32], max_drop_points: float
    ) -> None:
        self.images, self._spec, self._parent, self._bound = images, spec, parent_logits, max_drop_points

    @property
    def parent_labels(self) -> npt.NDArray[np.intp]:
        labels: npt.NDArray[np.intp] = self._parent.argmax(axis=1)
        return labels

    def logits(self, model: bytes) -> npt.NDArray[np.float32]:
        return flatbuffer_logits(model, self.images.faces, self._spec)

    def tried(self, name: str, calibrated: Calibrator, recipe: QuantizationOptions) -> Candidate:
        started = time.monotonic()
        model = calibrated.quantize(recipe)
        verdict = compare(self._parent, self.logits(model), self.images.labels, label_names=LABELS)
        return Candidate(
            name=name,
            scheme="int8",
            recipe=dataclasses.asdict(recipe),
            difference_points=verdict.difference_points,
            interval_points=verdict.interval_points,
            agreement=verdict.agreement,
            model_bytes=len(model),
            duration_s=round(time.monotonic() - started, 1),
            holds=-verdict.difference_points <= self._bound,
        )


def _method(name: str, calibrated: Sequence[Calibrator], base: QuantizationOptions, score: _Scorer) -> Method:
    recipe = dataclasses.replace(base, ranges=name)
    given = [score.logits(each.quantize(recipe)).argmax(axis=1) for each in calibrated]
    return Method(
        name=name,
        accuracies=tuple(float((labels == score.images.labels).mean()) for labels in given),
        agreement=pairwise_agreement(given),
        parent_agreement=min(float((labels == score.parent_labels).mean()) for labels in given),
    )


def with_search(result: Result, found: SearchResult, quantized: Quantized, *, max_drop_points: float) -> Result:
    """The result of what was settled on, with the search in its record and, above the rest, in its text."""
    tries = list(found.tries)
    if found.recipe is None:
        tries.append(_trained(quantized, max_drop_points))
    record = {
        "max_drop_points": max_drop_points,
        "methods": [dataclasses.asdict(each) for each in found.methods],
        "tries": [dataclasses.asdict(each) for each in tries],
    }
    text = f"{_text(found.methods, tries, max_drop_points)}\n{_bought(tries)}\n\n{result.text}"
    return dataclasses.replace(result, record={**result.record, "search": record}, text=text)


def _trained(quantized: Quantized, max_drop_points: float) -> Candidate:
    verdict = quantized.verdict
    return Candidate(
        name=f"{quantized.artifact.scheme}, trained on",
        scheme=quantized.artifact.scheme,
        recipe={},
        difference_points=verdict.difference_points,
        interval_points=verdict.interval_points,
        agreement=verdict.agreement,
        model_bytes=len(quantized.artifact.model),
        duration_s=None,
        holds=-verdict.difference_points <= max_drop_points,
    )


def _bought(tries: Sequence[Candidate]) -> str:
    """What the last try is worth beside the converter alone, in a sentence."""
    first, last = tries[0], tries[-1]
    points = last.difference_points - first.difference_points
    agreement = 100 * (last.agreement - first.agreement)
    size = (last.model_bytes - first.model_bytes) / 1024
    return (
        f"bought over the converter alone: {points:+.2f} points of accuracy,\n"
        f"{agreement:+.2f} points of agreement, for {size:+.1f} KiB"
    )


def _text(methods: Sequence[Method], tries: Sequence[Candidate], max_drop_points: float) -> str:
    spreads = [
        [
            each.name,
            f"{100 * min(each.accuracies):.2f} to {100 * max(each.accuracies):.2f}",
            f"{each.agreement:.2%}",
            f"{each.parent_agreement:.2%}",
        ]
        for each in methods
    ]
    rows = [
        [
            each.name,
            "{:+.2f} ({:+.2f} to {:+.2f})".format(each.difference_points, *each.interval_points),
            f"{each.agreement:.2%}",
            f"{each.model_bytes / 1024:,.0f}",
            "yes" if each.holds else "no",
        ]
        for each in tries
    ]
    return "\n".join(
        [
            f"{len(methods[0].accuracies)} disjoint sets of faces with each way to find ranges, the steadiest first;",
            "same labels: among the models on average, and with the float parent at least",
            table(["ranges", "accuracy, %", "among them", "with the parent"], spreads),
            f"\ntried, until one loses at most {max_drop_points:g} points against the float parent",
            table(["int8", "points (95 %)", "agreement", "KiB", "holds"], rows),
        ]
    )
