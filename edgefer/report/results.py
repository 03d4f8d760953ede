"""Reading back what the commands wrote with --out.

    results = read_results([Path("benchmarks/results/raspberry_pi_4"), Path("small-int8.json")])
    results.evaluations, results.measurements
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer import records
from edgefer.errors import DataError, EdgeferError
from edgefer.evaluation import Evaluation
from edgefer.measurement import Measurement

__all__ = ["Results", "read_results"]


@dataclass(frozen=True)
class Results:
    """What stands in some result files, in the order of the files."""

    evaluations: tuple[Evaluation, ...]
    measurements: tuple[Measurement, ...]


def read_results(paths: Sequence[Path]) -> Results:
    """Read result files; a folder stands for all the *.json files in it, by name.

    Raises:
        DataError: a file that cannot be read or is no result, a folder without any; the message names it.
        IncompatibleError: a result that a later edgefer wrote.
    """
    found = [_read(path) for given in paths for path in _files(given)]
    return Results(
        tuple(each for results in found for each in results.evaluations),
        tuple(each for results in found for each in results.measurements),
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # A leading dot marks a file that is still being written.
    files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
    if not files:
        raise DataError(f"{path} holds no *.json", fix=f"edgefer bench --out {path / 'bench.json'}")
    return files


def _read(path: Path) -> Results:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"cannot read {path}", why=why, fix=f"edgefer bench --out {path}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON", why=str(error), fix="give what a command wrote with --out") from error
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in READERS:
        raise DataError(
            f"{path} holds {f'a result of kind {kind!r}' if kind else 'no result'}",
            why=f"a report is made of {', '.join(READERS)}",
            fix="leave it out",
        )
    try:
        return READERS[kind](fields)
    except EdgeferError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, fix=error.fix or "write it again") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is damaged", why=f"{type(error).__name__}: {error}", fix="write it again") from error


def _evaluation(fields: Mapping[str, Any]) -> Results:
    return Results((Evaluation.from_json(fields),), ())


def _training(fields: Mapping[str, Any]) -> Results:
    records.check(fields, "training", 1)
    return _evaluation(fields["evaluation"])


def _quantization(fields: Mapping[str, Any]) -> Results:
    records.check(fields, "quantization", 1)
    evaluation = Evaluation.from_json(fields["evaluation"])
    file = {"file": Path(fields["path"]).name, "file_bytes": fields["file_bytes"]}
    return Results((dataclasses.replace(evaluation, subject={**evaluation.subject, **file}),), ())


def _measurement(fields: Mapping[str, Any]) -> Results:
    return Results((), (Measurement.from_json(fields),))


def _bench(fields: Mapping[str, Any]) -> Results:
    records.check(fields, "bench", 1)
    return Results((), tuple(Measurement.from_json(each) for each in fields["measurements"]))


READERS: dict[str, Callable[[Mapping[str, Any]], Results]] = {
    "evaluation": _evaluation,
    "training": _training,
    "quantization": _quantization,
    "measurement": _measurement,
    "bench": _bench,
}
