"""A training, read from its run folder or from a record of ``edgefer train``.

    training = Training.from_run(Path("runs/latest"))
    training = Training.from_json(record)
    training.evaluation, training.best_epoch, training.history
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgefer.errors import DataError, EdgeferError
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation

__all__ = ["SETTINGS_FILE", "UNREADABLE", "Training", "read_optional"]

SETTINGS_FILE = "settings.toml"
# Parsing a damaged file or record can raise any of these.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
Content = TypeVar("Content")


@dataclass(frozen=True, eq=False)
class Training:
    """A training run.

    Attributes:
        name: Name of the run folder.
        settings: Resolved settings, nested.
        environment: Versions, machine and data.
        evaluation: Evaluation on the validation split; None while training is in progress.
        best_epoch: Number of the epoch whose weights were kept.
        epochs: Number of completed epochs.
        duration_s: Total duration of all epochs in seconds, or None.
        history: One mapping per epoch; empty where only the record is available.
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
            DataError: The record has another kind, lacks a field, or holds an invalid value.
            IncompatibleError: The schema version is newer than this edgefer supports.
        """
        schema.validate(fields, "training", 1)
        return cls(
            name=Path(str(fields["run"])).name,
            settings=dict(fields["settings"]),
            environment=_environment(fields["environment"]),
            duration_s=float(fields["duration_s"]),
            **_scores(fields),
        )

    @classmethod
    def from_run(cls, folder: Path) -> Training:
        """Read a run folder; files that training has not written yet are skipped.

        Raises:
            DataError: A file cannot be read or is damaged; the message names it.
            IncompatibleError: A newer edgefer wrote a file.
        """
        settings = read_optional(folder / SETTINGS_FILE, _toml) or {}
        environment = read_optional(folder / "environment.json", lambda text: _environment(json.loads(text))) or {}
        history = read_optional(folder / "history.csv", _history) or ()
        metrics = read_optional(folder / "metrics.json", lambda text: _scores(json.loads(text))) or {}
        return cls(
            name=folder.resolve().name, settings=settings, environment=environment, history=history,
            duration_s=sum(epoch.get("duration_s", 0.0) for epoch in history) if history else None,
            **{"epochs": len(history) or None, **metrics},
        )  # fmt: skip


def read_optional(
    path: Path, parse: Callable[[str], Content], *, hint: str = "restore the file that edgefer train wrote"
) -> Content | None:
    """Parse the text of a file; return None where the file does not exist.

    Raises:
        DataError: The file cannot be read or parsed; the message names it.
    """
    if not path.exists():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except EdgeferError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint or hint) from error
    except UNREADABLE as error:
        raise DataError(f"cannot read {path}", why=f"{type(error).__name__}: {error}", hint=hint) from error


def _environment(fields: Mapping[str, Any]) -> dict[str, Any]:
    schema.require(fields, data=dict)
    schema.require({"images": {}, "packages": {}, **fields["data"], **fields}, images=dict, packages=dict)
    images = fields["data"].get("images") or {}
    schema.require(images, **dict.fromkeys(images, int))
    return dict(fields)


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
