"""Compare models: join evaluations and measurements of the same flatbuffer into rows of tables.

    for group in compare(evaluations, measurements):
        group.rows, group.circumstances, group.warnings()

Records are joined by the SHA-256 of the flatbuffer, never by name. One group holds only comparable rows: the same
images, device, runtime, number of threads and kernels. Other conditions form another group.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefer.data.naming import counted
from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement

__all__ = ["Group", "Row", "compare", "to_json"]


@dataclass(frozen=True, eq=False)
class Row:
    """One model in one table; an unknown part is None."""

    evaluation: Evaluation | None
    measurement: Measurement | None

    @property
    def subject(self) -> Mapping[str, Any]:
        """Fields of both records that describe the model; the measurement's take precedence."""
        evaluated = self.evaluation.subject if self.evaluation else {}
        return {**evaluated, **(self.measurement.subject if self.measurement else {})}

    @property
    def scheme(self) -> str:
        """Quantization scheme; "keras" for a network that has not been converted."""
        return str(self.subject.get("scheme", "?"))

    @property
    def model(self) -> str:
        """File name without .tflite and without the scheme, which has its own column."""
        name = self.subject.get("file") or (self.evaluation.model if self.evaluation else "?")
        return str(name).removesuffix(".tflite").removesuffix(f"-{self.scheme}")

    @property
    def file_bytes(self) -> int | None:
        """Size of the .tflite, including the contract."""
        return self.subject.get("file_bytes")


@dataclass(frozen=True, eq=False)
class Group:
    """Comparable rows.

    Attributes:
        rows: rows in the order of the input.
        evaluation: one of the evaluations, for the data, split and number of images that all rows share; None without
            any.
        measurement: one of the measurements, for the device, runtime, threads and kernels that all rows share; None
            without any.
    """

    rows: tuple[Row, ...]
    evaluation: Evaluation | None
    measurement: Measurement | None

    @property
    def images(self) -> str | None:
        """Description of the evaluated images: "PublicTest of fer2013.csv, 3,589 images"."""
        shared = self.evaluation
        return f"{shared.images_name}, {shared.n:,} images" if shared else None

    @property
    def circumstances(self) -> str | None:
        """Description of the device and runtime that were measured."""
        shared = self.measurement
        if shared is None:
            return None
        device = shared.device
        cpu = shared.processor or device.get("machine")
        machine = f"{device['board']} ({cpu})" if device.get("board") else f"{cpu}"
        threads = f"{counted(shared.threads, 'thread')} of {device['cores']} cores"
        governor = f", governor {device['governor']}" if device.get("governor") else ""
        kernels = f", {shared.kernels} kernels" if shared.kernels != "default" else ""
        return f"{machine}{governor}, {shared.runtime} {shared.runtime_version}{kernels}, {threads}"

    def warnings(self) -> tuple[str, ...]:
        """Return reasons to distrust the numbers, one clause each, prefixed with the model."""
        return tuple(
            f"{row.model} {row.scheme}: {warning}"
            for row in self.rows
            for warning in (*(row.measurement.warnings() if row.measurement else ()), *_runtime_mismatch(row))
        )


def compare(evaluations: Iterable[Evaluation], measurements: Iterable[Measurement]) -> tuple[Group, ...]:
    """Join the records of each model and group comparable rows.

    A row without an evaluation or without a measurement joins the first group that fits its other half. Equal records
    count once; different records of one model are never merged.

    Raises:
        DataError: there are no records, or a record does not identify its model.
    """
    rows = _rows(_distinct_evaluations(evaluations), _distinct_measurements(measurements))
    if not rows:
        raise DataError(
            "no results to compare", why="the files contain no evaluation and no measurement",
            hint="edgefer evaluate MODEL.tflite --out evaluation.json",
        )  # fmt: skip
    keys = [(_images_key(row.evaluation), _circumstances_key(row.measurement)) for row in rows]
    complete = [key for key in keys if None not in key]
    assigned = [_group_key(key, complete) for key in keys]
    return tuple(_group([row for row, home in zip(rows, assigned) if home == key]) for key in dict.fromkeys(assigned))


Key = tuple[Hashable, Hashable]


def _group_key(key: Key, complete: Sequence[Key]) -> Key:
    images, circumstances = key
    fitting = [other for other in complete if images in (None, other[0]) and circumstances in (None, other[1])]
    return fitting[0] if fitting else key


def _group(rows: Sequence[Row]) -> Group:
    evaluations = [row.evaluation for row in rows if row.evaluation]
    measurements = [row.measurement for row in rows if row.measurement]
    return Group(tuple(rows), next(iter(evaluations), None), next(iter(measurements), None))


def _rows(evaluations: Sequence[Evaluation], measurements: Sequence[Measurement]) -> list[Row]:
    rows = []
    for model in dict.fromkeys([*map(_model_key, evaluations), *map(_model_key, measurements)]):
        scored = [evaluation for evaluation in evaluations if _model_key(evaluation) == model]
        timed = [measurement for measurement in measurements if _model_key(measurement) == model]
        pairs = [(evaluation, measurement) for measurement in timed for evaluation in _matching(measurement, scored)]
        rows += [Row(evaluation, measurement) for evaluation, measurement in pairs]
        rows += [Row(evaluation, None) for evaluation in scored if not any(evaluation is paired for paired, _ in pairs)]
        rows += [Row(None, measurement) for measurement in timed if not scored]
    return rows


def _matching(measurement: Measurement, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return, for each split, the evaluations by the runtime of ``measurement``, or all of them if there are none."""
    chosen = []
    for images in dict.fromkeys(map(_images_key, evaluations)):
        candidates = [evaluation for evaluation in evaluations if _images_key(evaluation) == images]
        same_runtime = [
            candidate for candidate in candidates if _evaluated_runtime(candidate) == _measured_runtime(measurement)
        ]
        chosen += same_runtime or candidates
    return chosen


def _distinct_evaluations(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    unique: list[Evaluation] = []
    for evaluation in evaluations:
        index = next((index for index, other in enumerate(unique) if _same_evaluation(evaluation, other)), None)
        if index is None:
            unique.append(evaluation)
        else:
            # quantize and evaluate score the same model but describe it with different fields.
            unique[index] = replace(unique[index], subject={**unique[index].subject, **evaluation.subject})
    return unique


def _same_evaluation(one: Evaluation, other: Evaluation) -> bool:
    runtimes = {_evaluated_runtime(one), _evaluated_runtime(other)} - {None}
    keys_agree = (_model_key(one), _images_key(one)) == (_model_key(other), _images_key(other))
    return keys_agree and len(runtimes) < 2 and np.array_equal(one.confusion, other.confusion)


def _distinct_measurements(measurements: Iterable[Measurement]) -> list[Measurement]:
    unique: list[Measurement] = []
    for measurement in measurements:
        if not any(measurement.to_json() == other.to_json() for other in unique):
            unique.append(measurement)
    return unique


def _model_key(record: Evaluation | Measurement) -> str:
    digest = record.subject.get("sha256")
    if not isinstance(digest, str):
        raise DataError(
            "a result does not identify its model", why="its subject has no sha256",
            hint="run the command that wrote it again",
        )  # fmt: skip
    return digest


def _images_key(evaluation: Evaluation | None) -> Hashable:
    return (evaluation.data, evaluation.split, evaluation.n) if evaluation else None


def _circumstances_key(measurement: Measurement | None) -> Hashable:
    if measurement is None:
        return None
    device = tuple(measurement.device.get(name) for name in ("board", "machine", "cores", "governor", "cpu_quota"))
    return device, measurement.processor, _measured_runtime(measurement), measurement.threads, measurement.kernels


def _measured_runtime(measurement: Measurement) -> str:
    return f"{measurement.runtime} {measurement.runtime_version}"


def _evaluated_runtime(evaluation: Evaluation) -> str | None:
    """Return the runtime of an evaluation, or None where the record does not name it."""
    subject = evaluation.subject
    return f"{subject['runtime']} {subject.get('runtime_version')}" if "runtime" in subject else None


def _runtime_mismatch(row: Row) -> tuple[str, ...]:
    if row.evaluation is None or row.measurement is None:
        return ()
    scored_on, timed_on = _evaluated_runtime(row.evaluation), _measured_runtime(row.measurement)
    return () if scored_on in (None, timed_on) else (f"scored with {scored_on}, timed with {timed_on}",)


def to_json(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the comparison as plain values, for ``edgefer report --json``."""
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
        "doubts": list(group.warnings()),
    }


def _row_json(row: Row) -> dict[str, Any]:
    scored, timed = row.evaluation, row.measurement
    return {
        "model": row.model,
        "scheme": row.scheme,
        "sha256": row.subject["sha256"],
        "file_bytes": row.file_bytes,
        "accuracy": scored.accuracy.to_json() if scored else None,
        "accuracy_unseen_in_training": scored.deduplicated.to_json() if scored and scored.deduplicated else None,
        "macro_f1": scored.macro_f1 if scored else None,
        "p50_us": timed.p50_us if timed else None,
        "p90_us": timed.p90_us if timed else None,
    }
