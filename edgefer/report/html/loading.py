"""Runs, .tflite files and result files -> Evidence; no part of the workstation is needed to read them.

    evidence = read_evidence([Path("runs/latest"), Path("small-int8.tflite"), Path("benchmarks/results/fer2013")])
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, EdgeferError
from edgefer.report.commands import check_provenance
from edgefer.report.html.page_data import Change, Model, ReportData, Training, distinct
from edgefer.report.loading import is_result, read_results
from edgefer.report.quantization_record import Quantization
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation

__all__ = ["read_report_data"]

SETTINGS = "settings.toml"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
Content = TypeVar("Content")


def read_report_data(paths: Sequence[Path]) -> ReportData:
    """Read what a page is made of.

    A folder with settings.toml in it is a run: its history, scores, artifacts and result files count. Any other folder
    stands for all the *.json files in it.

    Raises:
        DataError: a file that cannot be read or is damaged; the message names it.
        IncompatibleError: something that a later edgefer wrote.
    """
    runs = [path for path in paths if (path / SETTINGS).is_file()]
    artifacts = [path for path in paths if path.suffix == ".tflite"]
    others = [path for path in paths if path not in runs and path not in artifacts]
    for run in runs:
        artifacts += sorted(run.glob("*.tflite"))
        others += [file for file in sorted(run.glob("*.json")) if is_result(file)]
    results = read_results(list(dict.fromkeys(others)))
    trained = [_run(each) for each in runs]
    known = {each.name for each in trained}
    recorded = [_understood(_training, each, "training") for each in distinct(results.trainings)]
    made = [_understood(Quantization.from_json, each, "quantization") for each in distinct(results.quantizations)]
    return ReportData(
        sources=tuple(path.resolve().name for path in paths),
        results=results,
        trainings=(*trained, *(each for each in recorded if each.name not in known)),
        quantizations=_once(made),
        models=tuple(_model(path) for path in dict.fromkeys(artifacts)),
    )


def _once(made: Sequence[Quantization]) -> tuple[Quantization, ...]:
    """Each model once, even where it was judged twice; the record that tells of its layers is kept."""
    kept: dict[tuple[str, str, int], Quantization] = {}
    for each in made:
        key = (each.sha256, each.evaluation.split, each.verdict.n)
        if key not in kept or (each.layers and not kept[key].layers):
            kept[key] = each
    return tuple(kept.values())


def _model(path: Path) -> Model:
    artifact = Artifact.load(path)
    try:
        check_provenance(artifact.provenance)
    except DataError as error:
        raise DataError(f"the provenance of {path}: {error.what}", why=error.why, hint="make it again") from error
    changes = _parsed(path.with_suffix(".flips.csv"), _changes, hint="edgefer quantize, which writes it anew")
    return Model(path.name, path.stat().st_size, artifact, changes)


def _changes(text: str) -> tuple[Change, ...]:
    return tuple(
        Change(
            row=row["row"], label=row["label"], before=row["float_label"], now=row["label_now"],
            before_probability=float(row["float_probability"]), now_probability=float(row["probability_now"]),
        )
        for row in csv.DictReader(text.splitlines())
    )  # fmt: skip


def _run(folder: Path) -> Training:
    settings = _parsed(folder / SETTINGS, _toml) or {}
    environment = _parsed(folder / "environment.json", lambda text: _environment(json.loads(text))) or {}
    history = _parsed(folder / "history.csv", _history) or ()
    metrics = _parsed(folder / "metrics.json", _metrics) or {}
    return Training(
        name=folder.resolve().name, settings=settings, environment=environment, history=history,
        duration_s=sum(each.get("duration_s", 0.0) for each in history) if history else None,
        **{"epochs": len(history) or None, **metrics},
    )  # fmt: skip


def _training(fields: Mapping[str, Any]) -> Training:
    return Training(
        name=Path(str(fields["run"])).name,
        settings=dict(fields["settings"]),
        environment=_environment(fields["environment"]),
        duration_s=float(fields["duration_s"]),
        **_scores(fields),
    )


def _environment(fields: Mapping[str, Any]) -> dict[str, Any]:
    schema.require(fields, data=dict)
    schema.require({"images": {}, "packages": {}, **fields["data"], **fields}, images=dict, packages=dict)
    images = fields["data"].get("images") or {}
    schema.require(images, **dict.fromkeys(images, int))
    return dict(fields)


def _metrics(text: str) -> dict[str, Any]:
    return _scores(json.loads(text))


def _scores(fields: Mapping[str, Any]) -> dict[str, Any]:
    evaluation = Evaluation.from_json(fields["evaluation"])
    return {"evaluation": evaluation, "best_epoch": int(fields["best_epoch"]), "epochs": int(fields["epochs"])}


def _history(text: str) -> tuple[Mapping[str, float], ...]:
    return tuple({name: float(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines()))


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    import tomlkit

    return tomlkit.parse(text).unwrap()


def _parsed(
    path: Path, parse: Callable[[str], Content], *, hint: str = "put back what edgefer train wrote"
) -> Content | None:
    """What a file holds; None where there is none, as where a training has not come so far."""
    if not path.exists():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except EdgeferError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint or hint) from error
    except UNREADABLE as error:
        raise DataError(f"cannot read {path}", why=f"{type(error).__name__}: {error}", hint=hint) from error


def _understood(read: Callable[[Mapping[str, Any]], Content], record: Mapping[str, Any], kind: str) -> Content:
    """``read(record)``; what is damaged in it is said."""
    name = record.get("path") or record.get("run")
    try:
        return read(record)
    except EdgeferError as error:
        raise type(error)(f"the {kind} of {name}: {error.what}", why=error.why, hint="write it again") from error
    except UNREADABLE as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"the {kind} of {name} is damaged", why=why, hint="write it again") from error
