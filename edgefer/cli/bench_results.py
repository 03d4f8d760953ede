"""The result of ``edgefer bench`` on several devices, and the files that it writes.

    make_result(results, outcomes, failure, BenchOutputs(samples=False, folder=None, contribute=False))
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer import files
from edgefer.errors import EdgeferError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.fleet.remote_benchmark import Outcome
    from edgefer.results.benchmark import BenchmarkResult

__all__ = ["BenchOutputs", "make_result"]


@dataclass(frozen=True)
class BenchOutputs:
    """Files to write besides the result.

    Attributes:
        samples: keep the time of each run.
        folder: folder for one file per device, or None.
        contribute: also write an anonymous copy of each result.
    """

    samples: bool
    folder: Path | None
    contribute: bool


def make_result(
    results: Sequence[BenchmarkResult], outcomes: Sequence[Outcome], failure: EdgeferError | None, outputs: BenchOutputs
) -> Result:
    """Combine the results and the failures of all devices; save() writes the files of ``outputs``."""
    from edgefer.processes import error_to_json
    from edgefer.report.terminal.benchmark import outcomes_text
    from edgefer.results import schema

    records = [result.to_json(samples=outputs.samples) for result in results]
    partial = [outcome.partial for outcome in outcomes if outcome.partial is not None]
    paragraphs, failures = [outcomes_text([*results, *partial])] if results or partial else [], []
    for outcome in outcomes:
        if outcome.error is not None:
            measurements = [measurement.to_json() for measurement in outcome.measurements]
            failures.append({"device": outcome.device, **error_to_json(outcome.error), "measurements": measurements})
            paragraphs.append(f"{outcome.device}: {outcome.error}")
    if len(records) == 1 and not failures:
        record = records[0]
    else:
        record = {**schema.header("benches", 1), "benches": records, "failures": failures}
    contributions: list[BenchmarkResult] = []
    if outputs.contribute:
        contributions, refusal = _anonymize(results)
        failure = failure or refusal
    is_written = outputs.folder is not None or contributions
    written = [*records, *(result.to_json(samples=outputs.samples) for result in partial)]
    save = functools.partial(_write_records, outputs.folder, written, contributions) if is_written else None
    return Result(record, "\n\n".join(paragraphs), failure, save)


def _anonymize(results: Sequence[BenchmarkResult]) -> tuple[list[BenchmarkResult], EdgeferError | None]:
    """Return anonymous copies of the results that can be contributed, and the first refusal of another one."""
    from edgefer.contract.artifact import Artifact
    from edgefer.models import shipped
    from edgefer.results.contribution import anonymize, check_contribution

    names = {Artifact.load(path).sha256: path.name for path in shipped().values()}
    contributions, refusal = [], None
    for result in results:
        try:
            check_contribution(result)
        except EdgeferError as error:
            refusal = refusal or error
        else:
            contributions.append(anonymize(result, names=names))
    return contributions, refusal


def _file_names(devices: Sequence[str]) -> list[str]:
    """Return a different file name for each device; addresses may differ only in characters that are replaced."""
    names: list[str] = []
    for device in devices:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", device)
        others = sum(1 for other in names if other.partition("~")[0].lower() == name.lower())
        names.append(f"{name}~{others + 1}" if others else name)
    return names


def _write_records(
    folder: Path | None, records: Sequence[Mapping[str, Any]], contributions: Sequence[BenchmarkResult]
) -> str:
    """Write one file per result to ``folder``, if there is one, and one per contribution; return a note on these."""
    from edgefer.results.contribution import contribution_name

    def write(name: str, record: Mapping[str, Any]) -> Path:
        path = (folder or Path()) / name
        files.write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
        return path

    names = _file_names([record["device"] for record in records])
    for name, record in zip(names, records) if folder is not None else ():
        path = write(f"{name}{'.partial' if record['failure'] else ''}.bench.json", record)
        if not record["failure"]:  # what an earlier benchmark that failed has left
            path.with_name(f"{name}.partial.bench.json").unlink(missing_ok=True)
    paths = [write(contribution_name(result), result.to_json()) for result in contributions]
    return f"written: {', '.join(map(str, paths))}; to contribute, see benchmarks/boards/README.md" if paths else ""
