"""Models side by side: evaluations and measurements of the same flatbuffer, joined to rows of tables.

    for group in compare(evaluations, measurements):
        group.rows, group.circumstances, group.doubts()

The SHA-256 of the flatbuffer joins them, never a name. One table holds what may be compared: the same images, the same
device, runtime, number of threads and kernels; everything else stands in a table of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement

__all__ = ["Group", "Row", "compare", "to_json"]


@dataclass(frozen=True, eq=False)
class Row:
    """One model in one table; what is not known of it is None."""

    evaluation: Evaluation | None
    measurement: Measurement | None

    @property
    def subject(self) -> Mapping[str, Any]:
        """What either record says of the model; where both do, the measurement."""
        evaluated = self.evaluation.subject if self.evaluation else {}
        return {**evaluated, **(self.measurement.subject if self.measurement else {})}

    @property
    def scheme(self) -> str:
        """How it was quantized; "keras" for a network that has not been converted."""
        return str(self.subject.get("scheme", "?"))

    @property
    def model(self) -> str:
        """The file's name without .tflite and without the scheme, which stands beside it."""
        named = self.subject.get("file") or (self.evaluation.model if self.evaluation else "?")
        return str(named).removesuffix(".tflite").removesuffix(f"-{self.scheme}")

    @property
    def file_bytes(self) -> int | None:
        """The size of the .tflite, contract included."""
        return self.subject.get("file_bytes")


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that may be compared with each other.

    Attributes:
        rows: in the order in which the models came.
        evaluation: one of its evaluations, for what they share: data, split and number of images; None without any.
        measurement: one of its measurements, for what they share: device, runtime, threads and kernels.
    """

    rows: tuple[Row, ...]
    evaluation: Evaluation | None
    measurement: Measurement | None

    @property
    def images(self) -> str | None:
        """What the accuracies were taken on, in words."""
        shared = self.evaluation
        return f"{shared.split} of {shared.data}, {shared.n:,} images" if shared else None

    @property
    def circumstances(self) -> str | None:
        """What the latencies were taken on, in words."""
        shared = self.measurement
        if shared is None:
            return None
        device = shared.device
        cpu = device.get("cpu") or device.get("machine")
        place = f"{device['board']} ({cpu})" if device.get("board") else f"{cpu}"
        threads = f"{shared.threads} thread{'s' if shared.threads > 1 else ''} of {device['cores']} cores"
        governor = f", governor {device['governor']}" if device.get("governor") else ""
        kernels = f", {shared.kernels} kernels" if shared.kernels != "default" else ""
        return f"{place}{governor}, {shared.runtime} {shared.runtime_version}{kernels}, {threads}"

    def doubts(self) -> tuple[str, ...]:
        """Why one should not believe the numbers, one sentence each, with the model in front."""
        return tuple(
            f"{row.model} {row.scheme}: {doubt}"
            for row in self.rows
            for doubt in (*(row.measurement.doubts() if row.measurement else ()), *_foreign_accuracy(row))
        )


def compare(evaluations: Iterable[Evaluation], measurements: Iterable[Measurement]) -> tuple[Group, ...]:
    """Join the records of each model, and group what may be compared.

    A row that lacks one half stands in the first group that its other half fits. The same record twice counts once;
    two different ones never become one.

    Raises:
        DataError: there are no records, or one that does not say which model it is of.
    """
    rows = _rows(_distinct_evaluations(evaluations), _distinct_measurements(measurements))
    if not rows:
        raise DataError("there are no results", why="the files hold no evaluation and no measurement")
    keys = [(_images_key(row.evaluation), _circumstances_key(row.measurement)) for row in rows]
    whole = [key for key in keys if None not in key]
    homes = [_home(key, whole) for key in keys]
    return tuple(_group([row for row, home in zip(rows, homes) if home == key]) for key in dict.fromkeys(homes))


Key = tuple[Hashable, Hashable]


def _home(key: Key, whole: Sequence[Key]) -> Key:
    images, circumstances = key
    fitting = [each for each in whole if images in (None, each[0]) and circumstances in (None, each[1])]
    return fitting[0] if fitting else key


def _group(rows: Sequence[Row]) -> Group:
    evaluations = [row.evaluation for row in rows if row.evaluation]
    measurements = [row.measurement for row in rows if row.measurement]
    return Group(tuple(rows), next(iter(evaluations), None), next(iter(measurements), None))


def _rows(evaluations: Sequence[Evaluation], measurements: Sequence[Measurement]) -> list[Row]:
    rows = []
    for model in dict.fromkeys([*map(_model_key, evaluations), *map(_model_key, measurements)]):
        scored = [each for each in evaluations if _model_key(each) == model]
        timed = [each for each in measurements if _model_key(each) == model]
        pairs = [(each, own) for own in timed for each in _scores_for(own, scored)]
        rows += [Row(each, own) for each, own in pairs]
        rows += [Row(each, None) for each in scored if not any(each is taken for taken, _ in pairs)]
        rows += [Row(None, own) for own in timed if not scored]
    return rows


def _scores_for(measurement: Measurement, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations that go into the row of ``measurement``: on each split those of its own runtime, else all."""
    chosen = []
    for images in dict.fromkeys(map(_images_key, evaluations)):
        candidates = [each for each in evaluations if _images_key(each) == images]
        chosen += [each for each in candidates if _runtime(each) == _ran_on(measurement)] or candidates
    return chosen


def _distinct_evaluations(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    kept: list[Evaluation] = []
    for each in evaluations:
        index = next((index for index, other in enumerate(kept) if _same_evaluation(each, other)), None)
        if index is None:
            kept.append(each)
        else:
            # quantize and evaluate score the same model; what only one of them says of it is kept.
            kept[index] = replace(kept[index], subject={**kept[index].subject, **each.subject})
    return kept


def _same_evaluation(one: Evaluation, other: Evaluation) -> bool:
    runtimes = {_runtime(one), _runtime(other)} - {None}
    keys_agree = (_model_key(one), _images_key(one)) == (_model_key(other), _images_key(other))
    return keys_agree and len(runtimes) < 2 and np.array_equal(one.confusion, other.confusion)


def _distinct_measurements(measurements: Iterable[Measurement]) -> list[Measurement]:
    kept: list[Measurement] = []
    for each in measurements:
        if not any(each.to_json() == other.to_json() for other in kept):
            kept.append(each)
    return kept


def _model_key(record: Evaluation | Measurement) -> str:
    digest = record.subject.get("sha256")
    if not isinstance(digest, str):
        raise DataError("a result does not say of which model it is", why="it has no sha256", hint="take it anew")
    return digest


def _images_key(evaluation: Evaluation | None) -> Hashable:
    return (evaluation.data, evaluation.split, evaluation.n) if evaluation else None


def _circumstances_key(measurement: Measurement | None) -> Hashable:
    if measurement is None:
        return None
    device = tuple(measurement.device.get(name) for name in ("board", "machine", "cpu", "cores", "governor"))
    return device, _ran_on(measurement), measurement.threads, measurement.kernels


def _ran_on(measurement: Measurement) -> str:
    return f"{measurement.runtime} {measurement.runtime_version}"


def _runtime(evaluation: Evaluation) -> str | None:
    """What ran the model, where the evaluation says so."""
    subject = evaluation.subject
    return f"{subject['runtime']} {subject.get('runtime_version')}" if "runtime" in subject else None


def _foreign_accuracy(row: Row) -> tuple[str, ...]:
    if row.evaluation is None or row.measurement is None:
        return ()
    scored_on, timed_on = _runtime(row.evaluation), _ran_on(row.measurement)
    return () if scored_on in (None, timed_on) else (f"scored with {scored_on}, timed with {timed_on}",)


def to_json(groups: Sequence[Group]) -> dict[str, Any]:
    """The report in plain values, for ``edgefer report --json``."""
    return {**schema.header("report", 1), "groups": [_group_json(group) for group in groups]}


def _group_json(group: Group) -> dict[str, Any]:
    scored, timed = group.evaluation, group.measurement
    return {
        "images": {"data": scored.data, "split": scored.split, "n": scored.n} if scored else None,
        "circumstances": {
            "device": dict(timed.device),
            "runtime": timed.runtime,
            "runtime_version": timed.runtime_version,
            "threads": timed.threads,
            "kernels": timed.kernels,
        }
        if timed
        else None,
        "rows": [_row_json(row) for row in group.rows],
        "doubts": list(group.doubts()),
    }


def _row_json(row: Row) -> dict[str, Any]:
    scored, timed = row.evaluation, row.measurement
    return {
        "model": row.model,
        "scheme": row.scheme,
        "sha256": row.subject["sha256"],
        "file_bytes": row.file_bytes,
        "accuracy": scored.accuracy.to_json() if scored else None,
        "accuracy_unseen_in_training": scored.unseen.to_json() if scored and scored.unseen else None,
        "macro_f1": scored.macro_f1 if scored else None,
        "p50_us": timed.p50_us if timed else None,
        "p90_us": timed.p90_us if timed else None,
    }
