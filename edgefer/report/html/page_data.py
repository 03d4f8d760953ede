"""All that a page is made of, in plain values; reading.py finds it in files.

    evidence = Evidence(results=results, trainings=(training,), quantizations=(quantization,))
    evidence.groups, evidence.measurements, evidence.name_of(sha256)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edgefer.contract.artifact import Artifact
from edgefer.report.comparison import Group, compare
from edgefer.report.loading import Results
from edgefer.report.quantization_record import Quantization
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement

__all__ = ["Change", "Model", "ReportData", "Training", "device_name", "distinct", "short_device"]


@dataclass(frozen=True, eq=False)
class Training:
    """A training as its run folder or its record tells it.

    Attributes:
        name: of the run folder.
        settings: the resolved settings, nested.
        environment: versions, machine and data.
        evaluation: on the selection split; None while the training goes on.
        best_epoch, epochs: which one was kept, of how many.
        duration_s: of all epochs, or None.
        history: one mapping an epoch; empty where only the record was given.
    """

    name: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluation: Evaluation | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    duration_s: float | None = None
    history: tuple[Mapping[str, float], ...] = ()

    @property
    def system(self) -> str:
        """The name of what was trained."""
        return str(self.settings.get("system", "?"))


@dataclass(frozen=True)
class Change:
    """One image that gets another label than from the float parent.

    Attributes:
        row: its place in the data set.
        label, before, now: what it is, and what the float parent and the model say.
        before_probability, now_probability: what each gives its own answer, in 0..1.
    """

    row: str
    label: str
    before: str
    now: str
    before_probability: float
    now_probability: float


@dataclass(frozen=True, eq=False)
class Model:
    """A .tflite: its name, its size with the contract, and what it carries.

    Attributes:
        changes: the images whose label it changes, as the .flips.csv beside it lists them; None without one.
    """

    file: str
    file_bytes: int
    artifact: Artifact
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """What a page is made of.

    Attributes:
        sources: the names of what was given.
        results: the records of result files.
        trainings, quantizations, models: of runs, of their conversions, and .tflite files.
    """

    sources: tuple[str, ...] = ()
    results: Results = field(default_factory=Results)
    trainings: tuple[Training, ...] = ()
    quantizations: tuple[Quantization, ...] = ()
    models: tuple[Model, ...] = ()

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All evaluations of a known model; the float parents of the quantizations count too."""
        parents = [each.parent for each in self.quantizations]
        trained = [each.evaluation for each in self.trainings if each.evaluation]
        every = [*self.results.evaluations, *trained, *parents]
        return tuple(each for each in every if isinstance(each.subject.get("sha256"), str))

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """All benches, and the short ones of the quantizations whose model was not benched with the same runtime."""
        benched = self.results.measurements
        seen = {_circumstances(each) for each in benched}
        short = [
            dataclasses.replace(each.measurement, subject={**each.measurement.subject, **_named(each)})
            for each in self.quantizations
        ]
        return (*benched, *(each for each in short if _circumstances(each) not in seen))

    @property
    def telling(self) -> Quantization | None:
        """The first quantization that changed an answer, or else the first of all: what a page unfolds."""
        changed = (each for each in self.quantizations if each.verdict.agreement < 1)
        return next(changed, next(iter(self.quantizations), None))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Evaluations and measurements of the same model, joined."""
        return compare(self.evaluations, self.measurements) if self.evaluations or self.measurements else ()


def _named(quantization: Quantization) -> dict[str, Any]:
    return {"file": quantization.file, "file_bytes": quantization.file_bytes, "sha256": quantization.sha256}


def _circumstances(measurement: Measurement) -> tuple[object, ...]:
    device = measurement.device
    place = (device.get("board"), device.get("cpu"), device.get("machine"))
    return (measurement.subject.get("sha256"), *place, measurement.runtime, measurement.threads, measurement.kernels)


def short_device(device: Mapping[str, Any]) -> str:
    """What a device is called: its board, else its processor."""
    return str(device.get("board") or device.get("cpu") or device.get("machine") or "unknown device")


def device_name(measurement: Measurement) -> str:
    """Device, runtime and threads in a few words: what a latency belongs to."""
    kernels = "" if measurement.kernels == "default" else f" {measurement.kernels}"
    threads = f"{measurement.threads} thread{'s' * (measurement.threads > 1)}"
    runtime = f"{measurement.runtime} {measurement.runtime_version}{kernels}"
    return f"{short_device(measurement.device)}, {runtime}, {threads}"


def distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once, in the order in which it came; unhashable ones too."""
    kept: list[Any] = []
    for each in values:
        if each not in kept:
            kept.append(each)
    return kept
