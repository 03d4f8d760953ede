"""A training, read from its run folder or from a record of ``edgefer train``.

    training = Training.from_run(Path("runs/latest"))
    training = Training.from_json(record)
    training.evaluation, training.best_epoch, training.history
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgefer.errors import DataError, EdgeferError
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.provenance import check_origin

__all__ = ["SETTINGS_FILE", "Training", "read_optional", "read_table"]

SETTINGS_FILE = "settings.toml"
Content = TypeVar("Content")


@dataclass(frozen=True, eq=False)
class Training:
    """A training run.

    Attributes:
        name: name of the run folder.
        settings: resolved settings, nested.
        environment: versions, machine and data.
        evaluation: evaluation on the validation split; None while training is in progress.
        best_epoch: number of the epoch whose weights were kept.
        epochs: number of completed epochs.
        duration_s: total duration of all epochs in seconds, or None.
        history: one mapping per epoch; empty where only the record is available.
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
        """Name of the trained system."""
        return str(self.settings.get("system", "?"))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Training:
        """Read a record of kind "training".

        Raises:
            DataError: the record has another kind, lacks a field, or holds an invalid value.
            IncompatibleError: the schema version is newer than this edgefer supports.
        """
        record = schema.read(fields, "training", 1)
        return cls(
            name=Path(record.text("run")).name,
            settings=_settings(record.plain("settings")),
            environment=_environment(record.object("environment")),
            duration_s=record.amount("duration_s"),
            **_scores(record),
        )

    @classmethod
    def from_run(cls, folder: Path) -> Training:
        """Read a run folder; files that training has not written yet are skipped.

        Raises:
            DataError: a file cannot be read or is damaged; the message names it.
            IncompatibleError: a newer edgefer wrote a file.
        """
        settings = read_optional(folder / SETTINGS_FILE, _toml) or {}
        environment = read_optional(folder / "environment.json", lambda text: _environment(_object(text))) or {}
        history = read_optional(folder / "history.csv", _history) or ()
        metrics = read_optional(folder / "metrics.json", lambda text: _scores(_object(text))) or {}
        return cls(
            name=folder.resolve().name, settings=settings, environment=environment, history=history,
            duration_s=sum(epoch.get("duration_s", 0.0) for epoch in history) if history else None,
            **{"epochs": len(history) or None, **metrics},
        )  # fmt: skip


def read_optional(
    path: Path, parse: Callable[[str], Content], *, hint: str = "restore the file that edgefer train wrote"
) -> Content | None:
    """Parse the text of a file; return None where the file does not exist.

    Args:
        path: the file.
        parse: function that parses its text, and raises DataError where the text is invalid.
        hint: how to fix a file that cannot be read.

    Raises:
        DataError: the file cannot be read or parsed; the message names it.
    """
    if not path.exists():
        return None
    try:
        return parse(path.read_bytes().decode("utf-8-sig"))
    except EdgeferError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint or hint) from error
    except OSError as error:
        raise DataError(f"cannot read {path}", why=error.strerror or str(error), hint=hint) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", why=f"byte {error.start} is invalid", hint=hint) from error


def read_table(text: str, *, numbers: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Parse CSV text with a header line.

    Args:
        text: the text.
        numbers: columns that hold numbers, all of which must exist; None for all columns.

    Raises:
        DataError: the text is not CSV, a column is missing, or a cell is empty or not a number.
    """
    try:
        reader = csv.DictReader(text.splitlines())
        rows: list[dict[str, Any]] = list(reader)
        columns = reader.fieldnames or []
    except csv.Error as error:
        raise DataError("not CSV", why=str(error)) from error
    for name in numbers or ():
        if name not in columns:
            raise DataError(f"column {name} is missing", why=f"the columns are {', '.join(columns)}")
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DataError(f"line {line} does not match the header", why=f"expected {len(columns)} cells")
        for name in columns if numbers is None else numbers:
            row[name] = _number(row[name], f"line {line}, {name}")
    return rows


def _number(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise DataError(f"{place} is {cell[:60]!r}", why="expected a number") from error
    # A diverged training records "nan" or "inf".
    return value if math.isfinite(value) else math.nan


def _object(text: str) -> schema.Fields:
    return schema.Fields(schema.parse_json(text))


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    fields = schema.Fields(settings, "settings")
    for key in ("system", "backend"):
        fields.optional(fields.text, key)
    fields.optional(fields.object, "input")
    return settings


def _environment(record: schema.Fields) -> dict[str, Any]:
    """Check the entries that a report shows, and return all of them."""
    data = record.object("data")
    for key in ("layout", "sha256", "votes_sha256"):
        data.optional(data.text, key)
    images = data.optional(data.object, "images") or schema.Fields({})
    for split in images:
        images.count(split)
    packages = record.optional(record.object, "packages") or schema.Fields({})
    for name in packages:
        packages.optional(packages.text, name)
    environment = record.to_plain()
    check_origin(environment)
    return environment


def _scores(record: schema.Fields) -> dict[str, Any]:
    return {
        "evaluation": Evaluation.from_json(record.object("evaluation")),
        "best_epoch": record.count("best_epoch"),
        "epochs": record.count("epochs"),
    }


def _history(text: str) -> tuple[Mapping[str, float], ...]:
    return tuple(read_table(text))


def _toml(text: str) -> dict[str, Any]:
    try:
        settings = _parse_toml(text)
    except ValueError as error:
        raise DataError("not TOML", why=str(error)) from error
    except RecursionError as error:
        raise DataError("the TOML is too deep", why="expected at most 100 levels") from error
    return _settings(schema.Fields(settings).to_plain())


def _parse_toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    import tomlkit

    return tomlkit.parse(text).unwrap()
