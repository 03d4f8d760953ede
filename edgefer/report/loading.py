"""Read the result files that edgefer commands write with ``--out``.

    results = read_results([Path("benchmarks/results/raspberry_pi_4"), Path("small-int8.json")])
    results.evaluations, results.measurements

A caller can read kinds of records that edgefer does not write. It passes a reader for each kind, and finds the parsed
records in ``extra``:

    results = read_results(paths, readers={"power_log": PowerLog.from_json})
    results.extra["power_log"]
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from edgefer.errors import DataError, EdgeferError
from edgefer.report.commands import check_provenance
from edgefer.report.quantization_costs import costs_table
from edgefer.report.tables import Table
from edgefer.report.training_record import UNREADABLE, Training
from edgefer.results import schema
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.measurement import Measurement
from edgefer.results.quantization import Quantization

__all__ = ["Reader", "Results", "is_result", "read_results"]

Reader = Callable[[Mapping[str, Any]], Any]
NO_READERS: Mapping[str, Reader] = MappingProxyType({})
NUMBER = (int, float)
SUBJECT = {"sha256": str, "file": str, "scheme": str, "system": str, "file_bytes": int}
DEVICE = {"board": str, "machine": str, "cpu": str, "governor": str}
DEVICE_STATE = ("elapsed_s", "temperature_c", "clock_mhz", "power_w")
Record = TypeVar("Record")


@dataclass(frozen=True)
class Results:
    """The records of a set of result files, in the order of the files.

    Attributes:
        evaluations: Evaluations, including those inside training and quantization records.
        measurements: Latency measurements, including those inside benchmark records.
        least_agreements: Lowest top-1 agreement between kernels, in 0..1, by SHA-256 of the flatbuffer.
        benches: Results of ``edgefer bench``.
        inspections: Results of ``edgefer inspect``.
        quantizations: Results of ``edgefer quantize``.
        trainings: Results of ``edgefer train``.
        extra: Records that the caller's readers parsed, by kind.
    """

    evaluations: tuple[Evaluation, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    least_agreements: Mapping[str, float] = field(default_factory=dict)
    benches: tuple[BenchmarkResult, ...] = ()
    inspections: tuple[Inspection, ...] = ()
    quantizations: tuple[Quantization, ...] = ()
    trainings: tuple[Training, ...] = ()
    extra: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def tables(self) -> list[Table]:
        """Return the tables of records that the comparison of models does not cover."""
        return [costs_table(self.quantizations, self.least_agreements)] if self.quantizations else []


def read_results(paths: Sequence[Path], *, readers: Mapping[str, Reader] = NO_READERS) -> Results:
    """Read result files and folders of them.

    Args:
        paths: JSON files; a folder means its ``*.json`` files in alphabetical order.
        readers: Parsers for further kinds of records, by the ``kind`` in the file. A parser takes the JSON object and
            raises DataError where a field is missing or invalid.

    Raises:
        DataError: A file cannot be read, holds no result or a result of an unknown kind, or a folder holds no results.
            The message names the file.
        IncompatibleError: A newer edgefer wrote the result.
    """
    return _combine([_read(file, readers) for path in paths for file in _files(path)])


def is_result(path: Path, *, readers: Mapping[str, Reader] = NO_READERS) -> bool:
    """Return True if ``path`` is a JSON file of a kind that read_results() reads; its fields are not checked."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and str(fields.get("kind")) in {*READERS, *readers}


def _combine(parts: Iterable[Results]) -> Results:
    results = list(parts)
    least: dict[str, float] = {}
    extra: dict[str, tuple[Any, ...]] = {}
    for result in results:
        for sha256, agreement in result.least_agreements.items():
            least[sha256] = min(agreement, least.get(sha256, agreement))
        for kind, records in result.extra.items():
            extra[kind] = (*extra.get(kind, ()), *records)
    names = [each.name for each in dataclasses.fields(Results) if each.name not in ("least_agreements", "extra")]
    lists: dict[str, Any] = {
        name: tuple(record for result in results for record in getattr(result, name)) for name in names
    }
    return Results(least_agreements=least, extra=extra, **lists)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # A leading dot marks a file that is still being written.
    files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
    if not files:
        raise DataError(f"{path} contains no *.json", hint=f"edgefer bench MODEL.tflite --out {path / 'bench.json'}")
    return files


def _read(path: Path, readers: Mapping[str, Reader]) -> Results:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"cannot read {path}", why=why, hint=f"edgefer bench MODEL.tflite --out {path}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON", why=str(error), hint="name a file that a command wrote with --out"
        ) from error
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in {*READERS, *readers}:
        raise DataError(
            f"{path} contains {f'a result of unknown kind {kind!r}' if kind else 'no result'}",
            why=f"known kinds: {', '.join([*READERS, *readers])}",
            hint=f"remove {path} from the arguments",
        )
    try:
        return Results(extra={kind: (readers[kind](fields),)}) if kind in readers else READERS[kind](fields)
    except EdgeferError as error:
        hint = error.hint or "run the command that wrote it again"
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=hint) from error
    except UNREADABLE as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is damaged", why=why, hint="run the command that wrote it again") from error


def _parse(read: Callable[[Mapping[str, Any]], Record], record: Mapping[str, Any], kind: str) -> Record:
    """Call ``read(record)``; errors name the model or run, because one file can hold several records."""
    name = record.get("path") or record.get("run")
    try:
        return read(record)
    except EdgeferError as error:
        raise type(error)(f"{kind} of {name}: {error.what}", why=error.why, hint=error.hint) from error
    except UNREADABLE as error:
        raise DataError(f"{kind} of {name} is damaged", why=f"{type(error).__name__}: {error}") from error


def _evaluation(fields: Mapping[str, Any]) -> Results:
    evaluation = Evaluation.from_json(fields)
    _check_names({"device": {}, **fields})
    return Results(evaluations=(evaluation,))


def _training(fields: Mapping[str, Any]) -> Results:
    training = _parse(Training.from_json, fields, "training")
    return dataclasses.replace(_evaluation(fields["evaluation"]), trainings=(training,))


def _quantization(fields: Mapping[str, Any]) -> Results:
    quantization = _parse(_checked_quantization, fields, "quantization")
    _check_names({"device": {}, "subject": {}, **fields["measurement"]})
    file = {"file": quantization.file, "file_bytes": quantization.file_bytes}
    evaluation = quantization.evaluation
    evaluation = dataclasses.replace(evaluation, subject={**evaluation.subject, **file})
    return Results(evaluations=(evaluation,), quantizations=(quantization,))


def _checked_quantization(fields: Mapping[str, Any]) -> Quantization:
    quantization = Quantization.from_json(fields)
    check_provenance(quantization.provenance)
    return quantization


def _quantizations(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "quantizations", 1)
    return _combine(_quantization(record) for record in fields["quantizations"])


def _parity(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "parity", 1)
    least = fields["least_agreement"]
    return Results(least_agreements={} if least is None else {str(fields["subject"]["sha256"]): float(least)})


def _measurement(fields: Mapping[str, Any]) -> Results:
    measurement = Measurement.from_json(fields)
    _check_names(fields)
    return Results(measurements=(measurement,))


def _check_names(measurement: Mapping[str, Any]) -> None:
    """Check the types of the fields that name the model and the device."""
    schema.require(measurement, subject=dict, device=dict)
    for part, types in (("subject", SUBJECT), ("device", DEVICE)):
        known = {name: measurement[part][name] for name in types if name in measurement[part]}
        schema.require(known, **{name: (types[name], type(None)) for name in known})


def _bench(fields: Mapping[str, Any]) -> Results:
    bench = BenchmarkResult.from_json(fields)
    for measurement in fields["measurements"]:
        _check_names(measurement)
    positions = range(len(fields["measurements"]))
    for comparison in fields.get("comparisons", ()):
        schema.require(comparison, first=int, second=int, ratio=NUMBER, interval=list)
        low, high = map(float, comparison["interval"])
        first, second = comparison["first"], comparison["second"]
        if first not in positions or second not in positions or low > high:
            raise DataError(
                f"invalid comparison of measurements {first} and {second}, interval {low} to {high}",
                why=f"expected positions in 0..{len(positions) - 1} and a lower bound below the upper",
            )
    for interval in fields.get("soak", ()):
        schema.require(interval, p50_us=NUMBER, p90_us=NUMBER, conditions=dict)
        state = interval["conditions"]
        known = {name: state[name] for name in DEVICE_STATE if state.get(name) is not None}
        schema.require({"elapsed_s": None, **known}, **{"elapsed_s": NUMBER, **dict.fromkeys(known, NUMBER)})
        if not all(isinstance(reason, str) for reason in state.get("throttled", ())):
            raise DataError("invalid throttling reason in the soak test", why="expected text")
    return Results(bench.evaluations, bench.measurements, benches=(bench,))


def _benches(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "benches", 1)
    return _combine(_bench(record) for record in fields["benches"])


def _inspection(fields: Mapping[str, Any]) -> Results:
    inspection = Inspection.from_json(fields)
    schema.require(fields, file=str, sha256=str, file_bytes=int, parameters=int, macs=int, arena_peak_bytes=int)
    return Results(inspections=(inspection,))


READERS: Mapping[str, Callable[[Mapping[str, Any]], Results]] = {
    "evaluation": _evaluation,
    "training": _training,
    "quantization": _quantization,
    "quantizations": _quantizations,
    "parity": _parity,
    "measurement": _measurement,
    "bench": _bench,
    "benches": _benches,
    "inspection": _inspection,
}
