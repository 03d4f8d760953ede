"""Everything that a report shows: result files, run folders and .tflite files.

    data = read_report_data([Path("runs/latest"), Path("small-int8.tflite"), Path("benchmarks/results/fer2013")])
    data.groups, data.measurements, data.quantizations

Reading needs no TensorFlow, so a board can render a report too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgefer.contract.artifact import Artifact
from edgefer.data.naming import counted
from edgefer.errors import DataError
from edgefer.file_kinds import artifacts_in
from edgefer.report.comparison import Group, compare
from edgefer.report.loading import NO_READERS, Reader, Results, is_result, read_results
from edgefer.report.training_record import SETTINGS_FILE, Training, read_optional, read_table
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.results.provenance import check_provenance
from edgefer.results.quantization import Quantization

__all__ = ["ChangedImage", "ModelFile", "ReportData", "device_name", "distinct", "read_report_data", "short_device"]


@dataclass(frozen=True)
class ChangedImage:
    """One image that the quantized model and its float network label differently.

    Attributes:
        row: row of the image in the data set.
        label: True label.
        before: label from the float network.
        now: label from the quantized model.
        before_probability, now_probability: probability that each model gives its own label, in 0..1.
    """

    row: str
    label: str
    before: str
    now: str
    before_probability: float
    now_probability: float


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A .tflite file.

    Attributes:
        file: file name.
        file_bytes: file size, including the contract.
        artifact: the model with its contract.
        changes: images whose label changes, from the .flips.csv next to the file; None without that file.
    """

    file: str
    file_bytes: int
    artifact: Artifact
    changes: tuple[ChangedImage, ...] | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """The content of a report.

    Attributes:
        sources: names of the inputs.
        results: records of the result files.
        trainings: Training runs.
        quantizations: quantized models, each once.
        models: .tflite files.
    """

    sources: tuple[str, ...] = ()
    results: Results = field(default_factory=Results)
    trainings: tuple[Training, ...] = ()
    quantizations: tuple[Quantization, ...] = ()
    models: tuple[ModelFile, ...] = ()

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All evaluations that identify their model, including those of the float networks."""
        parents = [quantization.float_evaluation for quantization in self.quantizations]
        trained = [training.evaluation for training in self.trainings if training.evaluation]
        evaluations = [*self.results.evaluations, *trained, *parents]
        return tuple(evaluation for evaluation in evaluations if isinstance(evaluation.subject.get("sha256"), str))

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """All benchmark measurements, and short ones for models without a benchmark under the same conditions."""
        benchmarked = self.results.measurements
        conditions = {_conditions(measurement) for measurement in benchmarked}
        short = [_identified(quantization) for quantization in self.quantizations]
        return (*benchmarked, *(measurement for measurement in short if _conditions(measurement) not in conditions))

    @property
    def has_results(self) -> bool:
        """True if the inputs have an evaluation or a measurement."""
        trained = any(training.evaluation for training in self.trainings)
        return bool(self.results.evaluations or self.results.measurements or trained)

    @property
    def result_groups(self) -> tuple[Group, ...]:
        """Evaluations and measurements of the inputs alone, without float networks and short measurements.

        Raises:
            DataError: there are none.
        """
        trained = [training.evaluation for training in self.trainings if training.evaluation]
        return compare((*self.results.evaluations, *trained), self.results.measurements)

    @property
    def highlighted(self) -> int:
        """Position of the first quantization that changed a label; 0 without one. A page shows it unfolded."""
        agreements = [quantization.comparison.agreement for quantization in self.quantizations]
        return next((index for index, agreement in enumerate(agreements) if agreement < 1), 0)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Evaluations and measurements, joined by model and grouped by comparable conditions."""
        return compare(self.evaluations, self.measurements) if self.evaluations or self.measurements else ()


def read_report_data(paths: Sequence[Path], *, readers: Mapping[str, Reader] = NO_READERS) -> ReportData:
    """Read the inputs of a report.

    Args:
        paths: run folders, .tflite files, result files, and folders of result files. A folder with a settings.toml is a
            run: its history, scores, artifacts and result files are read. For any other folder, all its ``*.json``
            files are read.
        readers: parsers for further kinds of records, as in read_results().

    Raises:
        DataError: a file cannot be read or is damaged; the message names it.
        IncompatibleError: a newer edgefer wrote a file.
    """
    runs = [path for path in paths if (path / SETTINGS_FILE).is_file()]
    artifacts = [path for path in paths if path.suffix == ".tflite"]
    others = [path for path in paths if path not in runs and path not in artifacts]
    for run in runs:
        artifacts += artifacts_in(run)
        others += [file for file in sorted(run.glob("*.json")) if is_result(file, readers=readers)]
    results = read_results(list(dict.fromkeys(others)), readers=readers)
    trainings = [Training.from_run(run) for run in runs]
    run_names = {training.name for training in trainings}
    recorded = [training for training in results.trainings if training.name not in run_names]
    return ReportData(
        sources=tuple(path.resolve().name for path in paths),
        results=results,
        trainings=(*trainings, *_unique_trainings(recorded)),
        quantizations=_unique(results.quantizations),
        models=tuple(_model(path) for path in dict.fromkeys(artifacts)),
    )


def _unique_trainings(trainings: Sequence[Training]) -> list[Training]:
    """Drop trainings that were read from two copies of the same record."""
    keys = [
        (training.name, training.settings, training.environment, training.duration_s, training.best_epoch)
        for training in trainings
    ]
    return [training for index, training in enumerate(trainings) if keys[index] not in keys[:index]]


def _unique(quantizations: Sequence[Quantization]) -> tuple[Quantization, ...]:
    """Keep one record per model and split, preferring a record with per-layer results."""
    unique: dict[tuple[str, str, int], Quantization] = {}
    for quantization in quantizations:
        key = (quantization.sha256, quantization.evaluation.split, quantization.comparison.n)
        if key not in unique or (quantization.layers and not unique[key].layers):
            unique[key] = quantization
    return tuple(unique.values())


def _model(path: Path) -> ModelFile:
    artifact = Artifact.load(path)
    try:
        check_provenance(artifact.provenance)
    except DataError as error:
        hint = "quantize the model again: edgefer quantize RUN"
        raise DataError(f"{path}: {error.what}", why=error.why, hint=hint) from error
    hint = "quantize the model again to rewrite the file: edgefer quantize RUN"
    changes = read_optional(path.with_suffix(".flips.csv"), _changes, hint=hint)
    return ModelFile(path.name, path.stat().st_size, artifact, changes)


def _changes(text: str) -> tuple[ChangedImage, ...]:
    probabilities = ("float_probability", "probability_now")
    rows = read_table(text, numbers=probabilities)
    missing = [name for name in ("row", "label", "float_label", "label_now") if rows and name not in rows[0]]
    if missing:
        raise DataError(f"column {missing[0]} is missing", why=f"the columns are {', '.join(rows[0])}")
    return tuple(
        ChangedImage(
            row=row["row"], label=row["label"], before=row["float_label"], now=row["label_now"],
            before_probability=row["float_probability"], now_probability=row["probability_now"],
        )
        for row in rows
    )  # fmt: skip


def _identified(quantization: Quantization) -> Measurement:
    """Return the short measurement of a quantization with the file's name, size and digest in its subject."""
    file = {"file": quantization.file, "file_bytes": quantization.file_bytes, "sha256": quantization.sha256}
    measurement = quantization.measurement
    return dataclasses.replace(measurement, subject={**measurement.subject, **file})


def _conditions(measurement: Measurement) -> tuple[object, ...]:
    device = measurement.device
    machine = (device.get("board"), device.get("cpu"), device.get("machine"))
    return (measurement.subject.get("sha256"), *machine, measurement.runtime, measurement.threads, measurement.kernels)


def short_device(device: Mapping[str, Any]) -> str:
    """Return the name of a device: its board, or else its processor."""
    return str(device.get("board") or device.get("cpu") or device.get("machine") or "unknown device")


def device_name(measurement: Measurement) -> str:
    """Return device, runtime and number of threads: "Raspberry Pi 5, litert 2.3.0, 1 thread"."""
    kernels = "" if measurement.kernels == "default" else f" {measurement.kernels}"
    runtime = f"{measurement.runtime} {measurement.runtime_version}{kernels}"
    return f"{short_device(measurement.device)}, {runtime}, {counted(measurement.threads, 'thread')}"


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return each value once, in order of first appearance; values need not be hashable."""
    unique: list[Any] = []
    for value in values:
        if value not in unique:
            unique.append(value)
    return unique
