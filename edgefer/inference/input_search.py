"""Determine the input of a model without a contract, and the class of each output, with labeled faces.

    search = search_input(runtime, faces, labels, classes=dataset.labels)
    search.best.spec, search.labels                 # search.problem is empty if they are certain

A model with a wrong input does not fail; it only has a lower accuracy. Each plausible combination of channels, range
and interpolation is therefore scored on the same faces. The best one is selected if McNemar's test separates it from
every combination with other predictions. The order of the outputs follows from the confusion matrix.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefer.contract.input_description import RANGES, describe_input
from edgefer.contract.preprocessing import RESIZING, Clahe, InputSpec, prepare_all
from edgefer.contract.quantization_params import dequantize
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.interpreters import run_faces
from edgefer.inference.runtime import Runtime
from edgefer.progress import Progress, silent
from edgefer.statistics import mcnemar_p, wilson_interval

__all__ = [
    "InputSearch", "Trial", "count_classes", "find_output", "search_input", "select_faces", "tensor_input",
]  # fmt: skip

# Faces per class. With 700 faces, McNemar's test separates accuracies that differ by about five points.
FACES_PER_CLASS = 100
P_VALUE = 0.01
# Combinations whose labels differ on fewer faces are treated as equal.
EQUAL_SHARE = 0.97
# Outputs that are matched with labels by dynamic programming over subsets.
MAX_MATCHED = 12
# Largest rounding error of a probability.
PROBABILITY_TOLERANCE = 1e-3
# The mean recall must exceed chance by this factor.
CHANCE_MARGIN = 1.2
LABELS_HINT = "--labels with one name for each output, in their order"


@dataclass(frozen=True, eq=False)
class Trial:
    """Score of a model with one candidate input.

    Attributes:
        spec: the input.
        order: output of each class, or -1 for a class without an output.
        hits: bool (n,), True for faces with the correct label in this order.
        predictions: int64 (n,), index of the largest output.
    """

    spec: InputSpec
    order: tuple[int, ...]
    hits: npt.NDArray[np.bool_]
    predictions: npt.NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of faces with the correct label, in 0..1."""
        return float(self.hits.mean())


@dataclass(frozen=True)
class InputSearch:
    """Result of a search.

    Attributes:
        trials: all trials in descending order of accuracy.
        best: the trial to use.
        classes: class names of the data.
        output: "logits" or "probabilities".
        problem: reason why the search is not conclusive; empty if it is.
        has_input: the input is certain; a problem is then about the order of the outputs.
        equal: other trials that give at least as many faces the correct label, but no significant difference.
    """

    trials: tuple[Trial, ...]
    best: Trial
    classes: tuple[str, ...]
    output: str
    problem: str
    has_input: bool
    equal: tuple[Trial, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        named = {output: name for name, output in zip(self.classes, self.best.order) if output >= 0}
        return tuple(named[output] for output in sorted(named))


def tensor_input(runtime: Runtime) -> InputSpec:
    """Return size and channels of a model's input, with the default range.

    Raises:
        IncompatibleError: the input is not one image with one or three channels.
    """
    shape = runtime.input.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        hint = "convert the model with batch 1 and the channels last"
        why = "expected (1, height, width, 1) or (1, height, width, 3)"
        raise IncompatibleError(f"the model has an input of shape {shape}", why=why, hint=hint)
    fields = {"height": shape[1], "width": shape[2], "channels": "gray" if shape[3] == 1 else "rgb"}
    return InputSpec.from_json(fields)


def count_classes(runtime: Runtime) -> int:
    """Return the number of outputs of a classifier.

    Raises:
        IncompatibleError: the output is not one row of at least two numbers.
    """
    shape = runtime.output.shape
    if len(shape) != 2 or shape[0] != 1 or shape[1] < 2:
        why = "expected (1, classes): a classifier of one image"
        hint = "train it with one output for each class, also for two" if shape == (1, 1) else ""
        raise IncompatibleError(f"the model has an output of shape {shape}", why=why, hint=hint)
    return shape[1]


def select_faces(
    labels: npt.NDArray[np.int64], *, per_class: int = FACES_PER_CLASS, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return ascending indices of at most ``per_class`` faces of each class."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def search_input(
    runtime: Runtime,
    faces: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    classes: Sequence[str],
    outputs: Sequence[str] | None = None,
    spec: InputSpec | None = None,
    clahe: Clahe | None = None,
    progress: Progress = silent,
) -> InputSearch:
    """Score the plausible inputs of a model on labeled faces.

    Args:
        runtime: the loaded model.
        faces: unprepared faces, uint8 (n, h, w) or BGR (n, h, w, 3).
        labels: int64 (n,), indices into ``classes``.
        classes: class names of the data.
        outputs: class names in the order of the model's outputs; None to find the order.
        spec: the input; None to find it.
        clahe: CLAHE of every candidate, if the model is known to need it.
        progress: called before each trial.

    Raises:
        IncompatibleError: the model is not a classifier of one image.
        DataError: the number of outputs differs from that of the names, or the order cannot be found.
    """
    shape, count = dataclasses.replace(tensor_input(runtime), clahe=clahe), count_classes(runtime)
    fixed = None if outputs is None else _fix_order(outputs, classes, count)
    if fixed is None and not len(classes) == count <= MAX_MATCHED:
        why = f"the data has {len(classes)} classes: {', '.join(classes)}"
        raise DataError(f"the labels of the model's {count} outputs are unknown", why=why, hint=LABELS_HINT)
    scores: dict[Trial, npt.NDArray[np.float32]] = {}

    def try_all(candidates: Sequence[InputSpec]) -> list[Trial]:
        trials = []
        for index, candidate in enumerate(candidates):
            progress(index, len(candidates), describe_input(candidate, always_range=True))
            raw = run_faces(runtime, prepare_all(faces, candidate), candidate)
            outputs_of = dequantize(raw, runtime.output.params)
            trials.append(_score(candidate, outputs_of, labels, classes=len(classes), fixed=fixed))
            scores[trials[-1]] = outputs_of
        progress(len(candidates), len(candidates), "done")
        return trials

    trials = try_all([spec] if spec is not None else list(_ranges(shape, faces)))
    best = _select(trials)
    ambiguity = _ambiguity(trials, best, labels)
    problem = ambiguity or ("" if fixed else _order_problem(best, labels, classes))
    equal = tuple(trial for trial in trials if trial is not best and trial.accuracy >= best.accuracy)
    interpolations = [] if spec is not None or problem else _interpolations(best.spec, faces)
    others = try_all(interpolations) if interpolations else []
    for trial in others:
        # Interpolations differ little, so only a significant gain replaces the default.
        if trial.accuracy > best.accuracy and _p_value(trial, best) <= P_VALUE:
            best = trial
    ranked = sorted([*trials, *others], key=lambda trial: -trial.accuracy)
    output = find_output(scores[best])
    return InputSearch(tuple(ranked), best, tuple(classes), output, problem, not ambiguity, equal)


def _fix_order(outputs: Sequence[str], classes: Sequence[str], count: int) -> tuple[int, ...]:
    """Return the output of each class, or -1."""
    if len(outputs) != count or len(set(outputs)) != count:
        why = f"the model has {count} outputs, and each needs a different name"
        raise DataError(f"{len(outputs)} labels: {', '.join(outputs)}", why=why, hint=LABELS_HINT)
    return tuple(outputs.index(name) if name in outputs else -1 for name in classes)


def find_output(scores: npt.NDArray[np.float32]) -> str:
    """Return "probabilities" if all ``scores`` (n, classes) are in 0..1, as from a softmax or sigmoid, else "logits".

    A classifier divides the scores of a sigmoid by their sum.
    """
    return "probabilities" if (scores >= 0).all() and (scores <= 1 + PROBABILITY_TOLERANCE).all() else "logits"


def _ranges(shape: InputSpec, faces: npt.NDArray[np.uint8]) -> Iterator[InputSpec]:
    """Yield plausible channels and ranges, the most common first."""
    standardized = (round(float(faces.mean()), 3),), (max(1.0, round(float(faces.std()), 3)),)
    for name, (mean, std) in {**RANGES, "standardized": standardized}.items():
        orders: tuple[str, ...]
        if shape.channels == "gray":
            orders = ("gray",) if len(mean) == 1 else ()
        elif faces.ndim == 4:
            orders = ("rgb", "bgr")
        else:  # the channels of gray faces are equal
            orders = ("bgr",) if name == "caffe" else ("rgb",)
        for channels in orders:
            yield dataclasses.replace(shape, channels=channels, mean=mean, std=std)


def _interpolations(spec: InputSpec, faces: npt.NDArray[np.uint8]) -> list[InputSpec]:
    """Return ``spec`` with each other interpolation, if the faces have to be resized."""
    height, width = faces.shape[1:3]
    if (height, width) == (spec.height, spec.width):
        return []
    grows = height < spec.height or width < spec.width
    same = {spec.resize, *(("area", "linear") if grows else ())}
    return [dataclasses.replace(spec, resize=name) for name in RESIZING if name not in same]


def _score(
    spec: InputSpec,
    scores: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    classes: int,
    fixed: tuple[int, ...] | None,
) -> Trial:
    predictions = scores.argmax(axis=1)
    order = fixed
    if order is None:
        confusion = np.zeros((classes, scores.shape[1]), np.int64)
        np.add.at(confusion, (labels, predictions), 1)
        order = _assign(confusion)
    return Trial(spec, order, predictions == np.array(order)[labels], predictions)


def _assign(confusion: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Return for each row a different column, so that the sum of the entries is largest; rows and columns are equal.

    Dynamic programming over the sets of columns of the first rows; the identity wins ties.
    """
    size = len(confusion)
    best: dict[int, tuple[int, int, tuple[int, ...]]] = {0: (0, 0, ())}
    for row in range(size):
        following: dict[int, tuple[int, int, tuple[int, ...]]] = {}
        for used, (total, kept, columns) in best.items():
            for column in range(size):
                if used >> column & 1:
                    continue
                entry = total + int(confusion[row, column]), kept + (row == column), (*columns, column)
                key = used | 1 << column
                following[key] = max(following.get(key, entry), entry)
        best = following
    return best[(1 << size) - 1][2]


def _same(one: Trial, other: Trial) -> bool:
    """Return True if two trials have the same predictions, or differ too little to rank them."""
    if one.order != other.order:
        return False
    agreement = float((one.predictions == other.predictions).mean())
    return agreement >= EQUAL_SHARE and _p_value(one, other) > P_VALUE


def _p_value(one: Trial, other: Trial) -> float:
    return mcnemar_p(int((one.hits & ~other.hits).sum()), int((other.hits & ~one.hits).sum()))


def _ambiguity(trials: Sequence[Trial], chosen: Trial, labels: npt.NDArray[np.int64]) -> str:
    """Return why ``chosen`` is not clearly the best trial, or an empty string."""
    # A constant answer has the accuracy of a class's share, which can be large, but always this mean recall.
    present = np.unique(labels)
    recall = float(np.mean([chosen.hits[labels == label].mean() for label in present]))
    chance = 1 / len(present)
    # The number of faces whose accuracy varies like the mean recall; all faces, if the classes have equally many.
    effective = int(len(present) ** 2 / sum(1 / (labels == label).sum() for label in present))
    low, _ = wilson_interval(round(recall * effective), effective, 0.99)
    if low <= CHANCE_MARGIN * chance:
        return f"the best input gives {recall:.1%} mean recall of the classes, hardly more than chance ({chance:.1%})"
    rivals = [trial for trial in trials if not _same(trial, chosen) and _p_value(trial, chosen) > P_VALUE]
    if rivals:
        rival = max(rivals, key=lambda trial: trial.accuracy)
        best, other = (
            f"{describe_input(trial.spec, always_range=True)} ({trial.accuracy:.1%})" for trial in (chosen, rival)
        )
        return f"{best} is not significantly better than {other}"
    return ""


def _order_problem(trial: Trial, labels: npt.NDArray[np.int64], classes: Sequence[str]) -> str:
    """Return a message about two classes whose outputs the data cannot distinguish, or an empty string."""
    for one, other in itertools.combinations(range(len(classes)), 2):
        right, swapped = (
            sum(int(((labels == label) & (trial.predictions == trial.order[output])).sum()) for label, output in pairs)
            for pairs in (((one, one), (other, other)), ((one, other), (other, one)))
        )
        if right <= swapped or mcnemar_p(right, swapped) > P_VALUE:
            return f"the outputs for {classes[one]} and {classes[other]} cannot be distinguished ({right} : {swapped})"
    return ""


def _select(trials: Sequence[Trial]) -> Trial:
    """Return the best trial; among those with the same predictions, the first, which is the most common input."""
    first = max(trials, key=lambda trial: trial.accuracy)
    return next(trial for trial in trials if trial is first or _same(trial, first))
