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
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgefer.errors import DataError, EdgeferError
from edgefer.file_kinds import JSON, command_for, describe_kind
from edgefer.report.instruction_table import instruction_table
from edgefer.report.quantization_costs import costs_table
from edgefer.report.search_table import front_table
from edgefer.report.tables import Table
from edgefer.report.training_record import Training
from edgefer.results import schema
from edgefer.results.architecture_search import ArchitectureSearch
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.instructions import InstructionRecord
from edgefer.results.measurement import Measurement
from edgefer.results.parity import read_least_agreement
from edgefer.results.quantization import Quantization

__all__ = ["Reader", "Results", "is_result", "read_results"]

Reader = Callable[[Mapping[str, Any]], Any]
NO_READERS: Mapping[str, Reader] = MappingProxyType({})


@dataclass(frozen=True)
class Results:
    """The records of a set of result files, in the order of the files.

    Attributes:
        evaluations: evaluations, including those inside training and quantization records.
        measurements: latency measurements, including those inside benchmark records.
        least_agreements: lowest top-1 agreement between kernels, in 0..1, by SHA-256 of the flatbuffer.
        benches: results of ``edgefer bench``.
        inspections: results of ``edgefer inspect``.
        quantizations: results of ``edgefer quantize``.
        trainings: results of ``edgefer train``.
        searches: results of ``edgefer search``.
        instructions: results of ``edgefer bench --device emulated``.
        extra: records that the caller's readers parsed, by kind.
    """

    evaluations: tuple[Evaluation, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    least_agreements: Mapping[str, float] = field(default_factory=dict)
    benches: tuple[BenchmarkResult, ...] = ()
    inspections: tuple[Inspection, ...] = ()
    quantizations: tuple[Quantization, ...] = ()
    trainings: tuple[Training, ...] = ()
    searches: tuple[ArchitectureSearch, ...] = ()
    instructions: tuple[InstructionRecord, ...] = ()
    extra: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def tables(self) -> list[Table]:
        """Return the tables of records that the comparison of models does not cover."""
        costs = [costs_table(self.quantizations, self.least_agreements)] if self.quantizations else []
        counts = [instruction_table(self.instructions)] if self.instructions else []
        return [*costs, *map(front_table, self.searches), *counts]


def read_results(paths: Sequence[Path], *, readers: Mapping[str, Reader] = NO_READERS) -> Results:
    """Read result files and folders of them.

    Args:
        paths: JSON files; a folder means its ``*.json`` files in alphabetical order.
        readers: parsers for further kinds of records, by the ``kind`` in the file. A parser takes the JSON object and
            raises DataError where a field is missing or invalid.

    Raises:
        DataError: a file cannot be read, contains no result or a result of an unknown kind, a field is missing or
            invalid, or a folder contains no results. The message names the file and the field.
        IncompatibleError: a newer edgefer wrote the result.
    """
    return _combine([_read(file, readers) for path in paths for file in _files(path)])


def is_result(path: Path, *, readers: Mapping[str, Reader] = NO_READERS) -> bool:
    """Return True if ``path`` is a JSON file of a kind that read_results() reads; its fields are not checked."""
    try:
        fields = schema.parse_json(path.read_bytes())
    except (OSError, DataError):
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
    names = [field.name for field in dataclasses.fields(Results) if field.name not in ("least_agreements", "extra")]
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
        hint = f"edgefer bench MODEL.tflite --out {shlex.quote(str(path / 'bench.json'))}"
        raise DataError(f"{path} contains no *.json", hint=hint)
    return files


def _read(path: Path, readers: Mapping[str, Reader]) -> Results:
    try:
        kind = describe_kind(path)
        if path.is_file() and kind != JSON:
            hint = command_for(path) or f"remove {path} from the arguments"
            raise DataError("not a result", why=f"it is {kind}, expected JSON that --out wrote", hint=hint)
        return _parse(path.read_bytes(), readers)
    except OSError as error:
        why, hint = error.strerror or str(error), f"edgefer bench MODEL.tflite --out {shlex.quote(str(path))}"
        raise DataError(f"cannot read {path}", why=why, hint=hint) from error
    except EdgeferError as error:
        hint = error.hint or f"run the command that wrote it again, or remove {path} from the arguments"
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=hint) from error


def _parse(text: bytes, readers: Mapping[str, Reader]) -> Results:
    fields = schema.parse_json(text)
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in {*READERS, *readers}:
        raise DataError(
            f"contains {f'a result of unknown kind {kind!r}' if kind else 'no result'}",
            why=f"known kinds: {', '.join([*READERS, *readers])}",
        )
    return Results(extra={kind: (readers[kind](fields),)}) if kind in readers else READERS[kind](fields)


def _evaluation(fields: Mapping[str, Any]) -> Results:
    return Results(evaluations=(Evaluation.from_json(fields),))


def _training(fields: Mapping[str, Any]) -> Results:
    training = Training.from_json(fields)
    evaluations = () if training.evaluation is None else (training.evaluation,)
    return Results(evaluations=evaluations, trainings=(training,))


def _quantization(fields: Mapping[str, Any]) -> Results:
    quantization = Quantization.from_json(fields)
    file = {"file": quantization.file, "file_bytes": quantization.file_bytes}
    evaluation = quantization.evaluation
    evaluation = dataclasses.replace(evaluation, subject={**evaluation.subject, **file})
    return Results(evaluations=(evaluation,), quantizations=(quantization,))


def _quantizations(fields: Mapping[str, Any]) -> Results:
    return _combine(map(_quantization, schema.read(fields, "quantizations", 1).objects("quantizations")))


def _parity(fields: Mapping[str, Any]) -> Results:
    sha256, least = read_least_agreement(fields)
    return Results(least_agreements={} if least is None else {sha256: least})


def _measurement(fields: Mapping[str, Any]) -> Results:
    measurement = Measurement.from_json(fields)
    schema.Fields(fields).object("subject").text("sha256")
    return Results(measurements=(measurement,))


def _bench(fields: Mapping[str, Any]) -> Results:
    bench = BenchmarkResult.from_json(fields)
    for measurement in schema.Fields(fields).objects("measurements"):
        measurement.object("subject").text("sha256")
    return Results(bench.evaluations, bench.measurements, benches=(bench,))


def _benches(fields: Mapping[str, Any]) -> Results:
    return _combine(map(_bench, schema.read(fields, "benches", 1).objects("benches")))


def _search(fields: Mapping[str, Any]) -> Results:
    return Results(searches=(ArchitectureSearch.from_json(fields),))


def _instructions(fields: Mapping[str, Any]) -> Results:
    return Results(instructions=(InstructionRecord.from_json(fields),))


def _instruction_records(fields: Mapping[str, Any]) -> Results:
    return _combine(map(_instructions, schema.read(fields, "instruction_records", 1).objects("records")))


def _inspection(fields: Mapping[str, Any]) -> Results:
    return Results(inspections=(Inspection.from_json(fields),))


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
    "instructions": _instructions,
    "instruction_records": _instruction_records,
    "architecture_search": _search,
}
