"""What was tried in the search for the models that ship, as a table; report/html/trials.py draws it.

    trials = trials_of(fields)                      # of a record of kind "search"
    trials_table(trials)

Such a record has ``kind`` "search", ``schema_version`` 1, and ``entries``, one object a trial with the fields of Trial:
name, system, settings, epochs, teachers, public_float_percent, public_int8_percent, bytes, parameters, macs, p50_us,
shipped. The numbers behind ``teachers`` may be null where they were not taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.report.entries import check_entry
from edgefer.report.tables import Table
from edgefer.results import schema

__all__ = ["Trial", "trials_of", "trials_table"]

KIND = "search"
SCHEMA_VERSION = 1
HEADERS = (
    "trial", "system and what was changed", "epochs", "teachers", "float, %", "int8, %", "int8 KiB", "parameters",
    "MMACs", "int8 p50, us", "ships",
)  # fmt: skip
SHORT = ("trial", "epochs", "float\n%", "int8\n%", "int8\nKiB", "MMACs", "int8\np50 us", "ships")
LEGEND = "Accuracy on PublicTest of FER2013, which chose among them, so the best of them is somewhat too good."
NUMBERS = ("public_float_percent", "public_int8_percent", "bytes", "parameters", "macs", "p50_us")


@dataclass(frozen=True)
class Trial:
    """One training that was tried.

    Attributes:
        name: its own.
        system, settings: what was trained, and what was set otherwise than the system has it, by dotted name.
        epochs: how many.
        teachers: the names of those whose answers it learned from.
        public_float_percent, public_int8_percent: accuracy on PublicTest before and after quantizing.
        bytes: of the int8 file.
        parameters, macs: of the network.
        p50_us: of the int8 model alone, one thread.
        shipped: whether it ships with edgefer.
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
            DataError: a field is missing, of another type, or a number that cannot be; the message names the trial.
        """
        check_entry(
            fields, "trial", numbers=NUMBERS, system=str, settings=dict, epochs=int, teachers=list, shipped=bool
        )
        values = {each: fields[each] for each in cls.__dataclass_fields__}
        return cls(**{**values, "teachers": tuple(map(str, fields["teachers"]))})

    @property
    def changed(self) -> str:
        """The system, and what was set otherwise: "compact_small, epochs=200, model.width=24"."""
        values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.settings.items()}
        return ", ".join([self.system, *(f"{name}={value}" for name, value in values.items())])


def trials_of(fields: Mapping[str, Any]) -> tuple[Trial, ...]:
    """Read a record of kind "search".

    Raises:
        DataError: it is none, or an entry is damaged or there twice.
        IncompatibleError: a later schema version.
    """
    schema.validate(fields, KIND, SCHEMA_VERSION)
    schema.require(fields, entries=list)
    found = tuple(Trial.from_json(each) for each in fields["entries"])
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not found or twice is not None:
        why = f"two of them are called {twice!r}" if found else "it has none"
        raise DataError("a search without a trial of each name", why=why)
    return found


def trials_table(trials: Sequence[Trial]) -> Table:
    """One row a trial, the most accurate int8 model first."""
    ordered = sorted(trials, key=lambda each: -(each.public_int8_percent or each.public_float_percent or 0.0))
    narrow = Table(SHORT, [_short(each) for each in ordered], LEGEND)
    return Table(HEADERS, [_row(each) for each in ordered], LEGEND, narrow=narrow)


def _row(trial: Trial) -> list[str | None]:
    name, epochs, plain, int8, size, *rest = _short(trial)
    parameters = _told(trial.parameters, "{:,.0f}")
    return [name, trial.changed, epochs, ", ".join(trial.teachers) or None, plain, int8, size, parameters, *rest]


def _short(trial: Trial) -> list[str | None]:
    return [
        trial.name,
        f"{trial.epochs:,}",
        _told(trial.public_float_percent, "{:.2f}"),
        _told(trial.public_int8_percent, "{:.2f}"),
        _told(None if trial.bytes is None else trial.bytes / 1024, "{:,.0f}"),
        _told(None if trial.macs is None else trial.macs / 1e6, "{:,.1f}"),
        _told(trial.p50_us, "{:,.0f}"),
        "yes" if trial.shipped else None,
    ]


def _told(value: float | None, spec: str) -> str | None:
    return None if value is None else spec.format(value)
