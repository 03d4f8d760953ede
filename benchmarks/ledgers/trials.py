"""The trainings of the search for the shipped models as a table; trials_plot.py draws them.

    trials = read_trials(fields)                    # from benchmarks/search.py
    trials_table(trials)

A record has ``kind`` "search", ``schema_version`` 1, and ``entries``: one object per trial with the fields of Trial.
Its numbers are null where they were not measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import check_entry, require

__all__ = ["Trial", "read_trials", "trials_table"]

KIND = "search"
SCHEMA_VERSION = 1
HEADERS = (
    "trial", "system and changed settings", "epochs", "teachers", "float, %", "int8, %", "int8 KiB", "parameters",
    "MMACs", "int8 p50, us", "ships",
)  # fmt: skip
NARROW_HEADERS = ("trial", "epochs", "float\n%", "int8\n%", "int8\nKiB", "MMACs", "int8\np50 us", "ships")
LEGEND = "Accuracy on PublicTest of FER2013, which selected the models, so the best values are slightly optimistic."
NUMBERS = ("public_float_percent", "public_int8_percent", "bytes", "parameters", "macs", "p50_us")


@dataclass(frozen=True)
class Trial:
    """One training of the search.

    Attributes:
        name: unique name.
        system: the trained system.
        settings: settings that differ from the system's, by dotted name.
        epochs: number of epochs.
        teachers: names of the teachers.
        public_float_percent, public_int8_percent: accuracy on PublicTest before and after quantization.
        bytes: size of the int8 file.
        parameters, macs: parameters and multiply-accumulates of the network.
        p50_us: latency of the int8 model alone, with one thread.
        shipped: True if edgefer ships the model.
    """

    name: str
    system: str
    settings: Mapping[str, Any]
    epochs: int
    teachers: tuple[str, ...]
    public_float_percent: float | None
    public_int8_percent: float | None
    bytes: int | None
    parameters: int | None
    macs: int | None
    p50_us: float | None
    shipped: bool

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Trial:
        """Read one entry.

        Raises:
            DataError: a field is missing or invalid; the message names the trial.
        """
        check_entry(
            fields, "trial", numbers=NUMBERS, system=str, settings=dict, epochs=int, teachers=list, shipped=bool
        )
        values = {name: fields[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "teachers": tuple(map(str, fields["teachers"]))})

    @property
    def description(self) -> str:
        """The system and its changed settings: "compact_small, epochs=200, model.width=24"."""
        values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.settings.items()}
        return ", ".join([self.system, *(f"{name}={value}" for name, value in values.items())])


def read_trials(fields: Mapping[str, Any]) -> tuple[Trial, ...]:
    """Read a record of kind "search".

    Raises:
        DataError: the record has another kind, has no entries, or an entry is invalid or repeated.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, entries=list)
    trials = tuple(Trial.from_json(entry) for entry in fields["entries"])
    if not trials:
        raise DataError("the search has no trials", why="expected at least one entry")
    names = [trial.name for trial in trials]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"two trials are named {repeated!r}", why="expected unique names")
    return trials


def trials_table(trials: Sequence[Trial]) -> Table:
    """Tabulate the trials, the most accurate int8 model first."""
    ordered = sorted(trials, key=lambda trial: -(trial.public_int8_percent or trial.public_float_percent or 0.0))
    narrow = Table(NARROW_HEADERS, [_narrow_row(trial) for trial in ordered], LEGEND)
    return Table(HEADERS, [_row(trial) for trial in ordered], LEGEND, narrow=narrow)


def _row(trial: Trial) -> list[str | None]:
    name, epochs, float_percent, int8_percent, size, *others = _narrow_row(trial)
    teachers, parameters = ", ".join(trial.teachers) or None, _number(trial.parameters, "{:,.0f}")
    return [name, trial.description, epochs, teachers, float_percent, int8_percent, size, parameters, *others]


def _narrow_row(trial: Trial) -> list[str | None]:
    return [
        trial.name,
        f"{trial.epochs:,}",
        _number(trial.public_float_percent, "{:.2f}"),
        _number(trial.public_int8_percent, "{:.2f}"),
        _number(None if trial.bytes is None else trial.bytes / 1024, "{:,.0f}"),
        _number(None if trial.macs is None else trial.macs / 1e6, "{:,.1f}"),
        _number(trial.p50_us, "{:,.0f}"),
        "yes" if trial.shipped else None,
    ]


def _number(value: float | None, spec: str) -> str | None:
    return None if value is None else spec.format(value)
