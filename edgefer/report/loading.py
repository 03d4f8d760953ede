"""Reading back what the commands wrote with --out.

    results = read_results([Path("benchmarks/results/raspberry_pi_4"), Path("small-int8.json")])
    results.evaluations, results.measurements
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgefer.errors import DataError, EdgeferError
from edgefer.report.arm64 import Arm64, arm64_tables
from edgefer.report.claims import Claim, claims_table
from edgefer.report.peers import Peer, peers_of, peers_table
from edgefer.report.tables import Cost, Table, cost_of, costs_table
from edgefer.report.trials import Trial, trials_of, trials_table
from edgefer.results import schema
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.measurement import Measurement

__all__ = ["Results", "is_result", "read_results"]


@dataclass(frozen=True)
class Results:
    """What stands in some result files, in the order of the files.

    Attributes:
        evaluations, measurements: of models.
        costs: of models against their float parents.
        least_agreements: between kernels, in 0..1, by the sha256 of the flatbuffer.
        arm64: of models on an emulated board.
        claims: of reference systems.
        trials: of the search for what ships.
        peers: models of others.
        benches: what came of each ``edgefer bench``; its measurements and evaluations are among those above too.
        inspections: of model files.
        quantizations, trainings: the records of ``edgefer quantize`` and ``edgefer train`` as they are.
    """

    evaluations: tuple[Evaluation, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    costs: tuple[Cost, ...] = ()
    least_agreements: Mapping[str, float] = field(default_factory=dict)
    arm64: tuple[Arm64, ...] = ()
    claims: tuple[Claim, ...] = ()
    trials: tuple[Trial, ...] = ()
    peers: tuple[Peer, ...] = ()
    benches: tuple[BenchmarkResult, ...] = ()
    inspections: tuple[Inspection, ...] = ()
    quantizations: tuple[Mapping[str, Any], ...] = ()
    trainings: tuple[Mapping[str, Any], ...] = ()

    @property
    def has_groups(self) -> bool:
        """Whether there are evaluations or measurements to set side by side, or nothing else to show.

        Beside models of others, all that are given stand in the table of the others.
        """
        return not self.peers and bool(self.evaluations or self.measurements or not self.tables())

    def beside_peers(self) -> Table:
        """The models of others, and those of edgefer that anything here is of."""
        return peers_table(
            self.peers,
            evaluations=self.evaluations,
            measurements=self.measurements,
            inspections=self.inspections,
            instructions={each.sha256: each.instructions.get("litert", {}) for each in self.arm64},
        )

    def tables(self) -> list[Table]:
        """What does not go into the groups of comparison.py, each kind in tables of its own."""
        if self.peers:
            return [self.beside_peers()]
        return [
            *([costs_table(self.costs, self.least_agreements)] if self.costs else []),
            *arm64_tables(self.arm64),
            *([claims_table(self.claims)] if self.claims else []),
            *([trials_table(self.trials)] if self.trials else []),
        ]


def read_results(paths: Sequence[Path]) -> Results:
    """Read result files; a folder stands for all the *.json files in it, by name.

    Raises:
        DataError: a file that cannot be read or is no result, a folder without any; the message names it.
        IncompatibleError: a result that a later edgefer wrote.
    """
    found = [_read(path) for given in paths for path in _files(given)]
    return _together(found)


def is_result(path: Path) -> bool:
    """Whether ``path`` is a JSON file that read_results() takes, damaged or not."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and str(fields.get("kind")) in READERS


def _together(found: Iterable[Results]) -> Results:
    every = list(found)
    least: dict[str, float] = {}
    for sha256, agreement in (pair for results in every for pair in results.least_agreements.items()):
        least[sha256] = min(agreement, least.get(sha256, agreement))
    lists = [each.name for each in dataclasses.fields(Results) if each.name != "least_agreements"]
    joined: dict[str, Any] = {
        name: tuple(each for results in every for each in getattr(results, name)) for name in lists
    }
    return Results(least_agreements=least, **joined)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # A leading dot marks a file that is still being written.
    files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
    if not files:
        raise DataError(f"{path} holds no *.json", hint=f"edgefer bench --out {path / 'bench.json'}")
    return files


def _read(path: Path) -> Results:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"cannot read {path}", why=why, hint=f"edgefer bench --out {path}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON", why=str(error), hint="give what a command wrote with --out") from error
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in READERS:
        raise DataError(
            f"{path} holds {f'a result of kind {kind!r}' if kind else 'no result'}",
            why=f"a report is made of {', '.join(READERS)}",
            hint="leave it out",
        )
    try:
        return READERS[kind](fields)
    except EdgeferError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint or "write it again") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is damaged", why=f"{type(error).__name__}: {error}", hint="write it again") from error


def _evaluation(fields: Mapping[str, Any]) -> Results:
    evaluation = Evaluation.from_json(fields)
    _check_named({"device": {}, **fields})
    return Results(evaluations=(evaluation,))


def _training(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "training", 1)
    return dataclasses.replace(_evaluation(fields["evaluation"]), trainings=(fields,))


def _quantization(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "quantization", 1)
    evaluation = Evaluation.from_json(fields["evaluation"])
    _check_named({"device": {}, "subject": {}, **fields["measurement"]})
    file = {"file": Path(fields["path"]).name, "file_bytes": fields["file_bytes"]}
    scored = dataclasses.replace(evaluation, subject={**evaluation.subject, **file})
    return Results(evaluations=(scored,), costs=(cost_of(fields),), quantizations=(fields,))


def _quantizations(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "quantizations", 1)
    return _together(_quantization(each) for each in fields["quantizations"])


def _parity(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "parity", 1)
    least = fields["least_agreement"]
    return Results(least_agreements={} if least is None else {str(fields["subject"]["sha256"]): float(least)})


def _measurement(fields: Mapping[str, Any]) -> Results:
    measurement = Measurement.from_json(fields)
    _check_named(fields)
    return Results(measurements=(measurement,))


def _check_named(measurement: Mapping[str, Any]) -> None:
    """Refuse a measurement whose model or device is called by anything but text."""
    schema.require(measurement, subject=dict, device=dict)
    for part, names in (("subject", SUBJECT), ("device", DEVICE)):
        given = {name: measurement[part][name] for name in names if name in measurement[part]}
        schema.require(given, **{name: (names[name], type(None)) for name in given})


def _bench(fields: Mapping[str, Any]) -> Results:
    benched = BenchmarkResult.from_json(fields)
    for each in fields["measurements"]:
        _check_named(each)
    positions = range(len(fields["measurements"]))
    for each in fields.get("comparisons", ()):
        schema.require(each, first=int, second=int, ratio=NUMBER, interval=list)
        low, high = map(float, each["interval"])
        if each["first"] not in positions or each["second"] not in positions or low > high:
            raise DataError("a comparison of what was not measured", why=f"there are {len(positions)} measurements")
    for each in fields.get("soak", ()):
        schema.require(each, p50_us=NUMBER, p90_us=NUMBER, conditions=dict)
        known = {name: value for name, value in each["conditions"].items() if name in CONDITIONS and value is not None}
        schema.require({"elapsed_s": None, **known}, **{"elapsed_s": NUMBER, **dict.fromkeys(known, NUMBER)})
        if not all(isinstance(reason, str) for reason in each["conditions"].get("throttled", ())):
            raise DataError("a soak that was held back by no reason", why="text was expected")
    return Results(benched.evaluations, benched.measurements, benches=(benched,))


def _benches(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "benches", 1)
    return _together(_bench(each) for each in fields["benches"])


def _arm64(fields: Mapping[str, Any]) -> Results:
    return Results(arm64=(Arm64.from_json(fields),))


def _systems(fields: Mapping[str, Any]) -> Results:
    schema.validate(fields, "systems", 1)
    return Results(claims=tuple(Claim.from_json(each) for each in fields["systems"]))


def _search(fields: Mapping[str, Any]) -> Results:
    return Results(trials=trials_of(fields))


def _peers(fields: Mapping[str, Any]) -> Results:
    return Results(peers=peers_of(fields))


def _inspection(fields: Mapping[str, Any]) -> Results:
    inspection = Inspection.from_json(fields)
    schema.require(fields, file=str, sha256=str, file_bytes=int, parameters=int, macs=int, arena_peak_bytes=int)
    return Results(inspections=(inspection,))


NUMBER = (int, float)
SUBJECT = {"sha256": str, "file": str, "scheme": str, "system": str, "file_bytes": int}
DEVICE = {"board": str, "machine": str, "cpu": str, "governor": str}
CONDITIONS = ("elapsed_s", "temperature_c", "clock_mhz", "power_w")
READERS: dict[str, Callable[[Mapping[str, Any]], Results]] = {
    "evaluation": _evaluation,
    "training": _training,
    "quantization": _quantization,
    "quantizations": _quantizations,
    "parity": _parity,
    "measurement": _measurement,
    "bench": _bench,
    "benches": _benches,
    "arm64": _arm64,
    "systems": _systems,
    "search": _search,
    "peers": _peers,
    "inspection": _inspection,
}
