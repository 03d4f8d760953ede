"""Search space: the settings that every trial shares, and those that each trial draws, read from a TOML file.

    space = read_space(Path("space.toml"))
    space.settings({"learning_rate": 0.05, "model.stem": 12}, number=7)     # TrainSettings of trial 7

The file has the same dotted names as ``edgefer train --set``:

    system = "nano"         # the settings of this system apply where the file names no others
    epochs = 12             # of each trial
    faces = 8000            # Training images of each trial; 0 or no entry: all

    [fixed]
    precision = "float32"

    [drawn]
    learning_rate = { low = 0.02, high = 0.3, log = true }
    batch_size = { low = 64, high = 256, step = 64 }
    model.stem = { choice = [8, 12, 16] }
    model.widths = { choice = [[8, 16, 32], [16, 24, 40]] }

The name ``teacher`` has the values of ``edgefer train --teacher``; an empty value trains without a teacher.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edgefer import plugins
from edgefer.errors import UsageError
from edgefer.workstation.training.model import check_options
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import resolve, toml_errors

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Choice", "Distribution", "FloatRange", "IntRange", "Space", "open_teachers", "parse_space", "read_space",
    "trial_name",
]  # fmt: skip

SYSTEMS = "edgefer.workstation.training.systems"
ARCHITECTURES = "edgefer.workstation.networks.architectures"
KEYS = ("system", "epochs", "faces", "fixed", "drawn")
# Settings that have a line of their own at the top.
TOP = {"system": 'the line system = "nano" at the top sets it', "epochs": "the line epochs = N at the top sets it"}
RANGE_KEYS = ("low", "high", "step", "log")
MAX_NUMBER = 2**63
TEACHER, ARCHITECTURE = "teacher", "architecture"
# Parameters of an architecture's build() that are no options.
NO_OPTIONS = ("keras", "input_shape", "classes")
EXAMPLE = "learning_rate = { low = 0.02, high = 0.3, log = true }"


@dataclass(frozen=True)
class Choice:
    """One of several values, each equally likely at first."""

    values: tuple[Any, ...]

    def draw(self, generator: np.random.Generator) -> Any:
        """Draw a value."""
        return self.values[int(generator.integers(len(self.values)))]

    def examples(self) -> tuple[Any, ...]:
        """Return the values to check before a search."""
        return self.values


@dataclass(frozen=True)
class IntRange:
    """An integer from ``low`` to ``high``, both included, in steps of ``step``; ``log`` draws its logarithm."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def draw(self, generator: np.random.Generator) -> int:
        """Draw a value."""
        if self.log:
            # Half a unit on both sides gives the ends of the range their share.
            value = math.exp(generator.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(self.high, max(self.low, round(value)))
        return int(self.low + self.step * generator.integers((self.high - self.low) // self.step + 1))

    def examples(self) -> tuple[Any, ...]:
        """Return the values to check before a search."""
        return self.low, self.high


@dataclass(frozen=True)
class FloatRange:
    """A number from ``low`` to ``high``; ``log`` draws its logarithm."""

    low: float
    high: float
    log: bool = False

    def draw(self, generator: np.random.Generator) -> float:
        """Draw a value."""
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
            return min(self.high, max(self.low, value))
        return float(generator.uniform(self.low, self.high))

    def examples(self) -> tuple[Any, ...]:
        """Return the values to check before a search."""
        return self.low, self.high


Distribution: TypeAlias = Choice | IntRange | FloatRange


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        system: name of the system.
        epochs: epochs of each trial.
        faces: Training images of each trial; 0 for all.
        fixed: settings of every trial, by dotted name.
        drawn: settings that each trial draws, by dotted name.
        text: content of the file.
    """

    system: str
    epochs: int
    faces: int = 0
    fixed: Mapping[str, Any] = field(default_factory=dict)
    drawn: Mapping[str, Distribution] = field(default_factory=dict)
    text: str = ""

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def settings(self, drawn: Mapping[str, Any], *, number: int | None = None) -> TrainSettings:
        """Return the settings of a trial.

        Args:
            drawn: values by dotted name. Options of ``model`` that the drawn architecture lacks are left out.
            number: number of the trial, which becomes part of the system's name.

        Raises:
            UsageError: a setting does not exist, or a value has the wrong type or range.
        """
        base = plugins.load(SYSTEMS, self.system).SYSTEM
        values = {name: value for name, value in {**self.fixed, **drawn}.items() if name != TEACHER}
        architecture = values.get(ARCHITECTURE, base.architecture)
        if isinstance(self.drawn.get(ARCHITECTURE), Choice):
            values = {name: value for name, value in values.items() if _accepts(architecture, name)}
        assignments = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
        settings = resolve(base, assignments=[*assignments, f"epochs={self.epochs}"])
        return settings if number is None else replace(settings, system=f"{self.system}-{trial_name(number)}")

    def teacher(self, drawn: Mapping[str, Any]) -> str:
        """Return the teachers of a trial, separated by commas; empty for none."""
        return str(drawn.get(TEACHER, self.fixed.get(TEACHER, "")))

    def to_json(self) -> dict[str, Any]:
        """Return the range or the choices of each drawn setting, and the other entries of the file."""
        drawn = {
            name: {"choice": list(item.values)} if isinstance(item, Choice) else dict(vars(item))
            for name, item in self.drawn.items()
        }
        return {
            "system": self.system, "epochs": self.epochs, "faces": self.faces, "fixed": dict(self.fixed),
            "drawn": drawn, "sha256": self.sha256,
        }  # fmt: skip


def trial_name(number: int) -> str:
    """Return the name of a trial, such as "0007": that of its run folder, and the end of its system's name."""
    return f"{number:04d}"


def read_space(path: Path) -> Space:
    """Read a search space.

    Raises:
        UsageError: the file cannot be read, is not valid TOML, or has an unknown or invalid entry; the message names
            the file and the entry.
    """
    with toml_errors(path, what="the search space", hint="docs/scale.md describes the format"):
        return parse_space(path.read_text(encoding="utf-8-sig"))


def open_teachers(space: Space) -> None:
    """Open each teacher of a search space once, so that a missing one is reported before any trial.

    Raises:
        EdgeferError: there is no such run or model, or it has no weights.
    """
    from edgefer.workstation.training.teachers import open_teacher

    choices = space.drawn.get(TEACHER, Choice((space.fixed.get(TEACHER, ""),))).examples()
    for name in dict.fromkeys(name for teachers in choices for name in teachers.split(",") if name):
        open_teacher(name)


def parse_space(text: str) -> Space:
    """Parse the content of a search space, and check every value that it allows.

    Raises:
        UsageError: an entry is unknown or invalid.
        tomllib.TOMLDecodeError: the text is not TOML.
    """
    tables = tomllib.loads(text)
    _refuse_unknown(tables, KEYS)
    system = tables.get("system", "compact_small")
    if not isinstance(system, str):
        raise UsageError(f"system = {system!r}", why="expected the name of a system", hint='system = "nano"')
    base: TrainSettings = plugins.load(SYSTEMS, system).SYSTEM
    epochs, faces = _count(tables, "epochs", base.epochs, low=1), _count(tables, "faces", 0, low=0)
    for name in ("fixed", "drawn"):
        if not isinstance(tables.get(name, {}), dict):
            raise UsageError(f"{name} = {tables[name]!r}", why="expected a table", hint=f"[{name}]")
    fixed = dict(_flatten(tables.get("fixed", {})))
    for name, value in fixed.items():
        _check_json(f"[fixed] {name}", value)
    _check_teachers("[fixed] teacher", [fixed.get(TEACHER, "")])
    drawn = {name: _distribution(name, value, base) for name, value in _flatten(tables.get("drawn", {}))}
    if not drawn:
        raise UsageError("nothing to search", why="expected a table [drawn] with settings", hint=EXAMPLE)
    for name in (*TOP, *fixed):
        if name in drawn or (name in TOP and name in fixed):
            where = TOP.get(name, "it is also in [fixed]")
            raise UsageError(f"{name} is in [{'drawn' if name in drawn else 'fixed'}]", why=where, hint="remove one")
    space = Space(system, epochs, faces, fixed, drawn, text)
    _check_values(space)
    return space


def _check_values(space: Space) -> None:
    """Check each value of each drawn setting, with the first values of the others and with each architecture."""
    first = {name: item.examples()[0] for name, item in space.drawn.items()}
    architectures = space.drawn[ARCHITECTURE].examples() if ARCHITECTURE in space.drawn else ()
    for name, item in space.drawn.items():
        for value in item.examples():
            for architecture in architectures if name != ARCHITECTURE else ():
                _check_value(space, name, {**first, ARCHITECTURE: architecture, name: value})
            _check_value(space, name, {**first, name: value})
    _check_names(space, architectures)


def _check_value(space: Space, name: str, drawn: Mapping[str, Any]) -> None:
    """Check the settings of a trial, and name the drawn setting in the error."""
    try:
        check_options(space.settings(drawn))
    except UsageError as error:
        hint = error.hint.replace("--set ", "")
        raise UsageError(f"[drawn] {name}: {error.what}", why=error.why, hint=hint) from error


def _check_names(space: Space, architectures: tuple[Any, ...]) -> None:
    """Raise UsageError for an option of ``model`` that none of several drawn architectures has."""
    known = {f"model.{name}": None for architecture in architectures for name in _options(architecture)}
    for table, names in (("fixed", space.fixed), ("drawn", space.drawn)):
        unknown = next((name for name in names if name.startswith("model.") and name not in known), None)
        if architectures and unknown is not None:
            close = difflib.get_close_matches(unknown, known, n=1)
            why = f"expected an option of {', '.join(map(str, architectures))}"
            raise UsageError(f"[{table}] {unknown}", why=why, hint=close[0] if close else f"remove {unknown}")


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested tables by dotted name; a table with "choice" or "low" is an entry itself."""
    for name, value in table.items():
        if isinstance(value, dict) and not {"choice", *RANGE_KEYS} & set(value):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _distribution(name: str, value: Any, base: TrainSettings) -> Distribution:
    if not isinstance(value, dict):
        why, hint = "a drawn setting has choices or a range", f"{name} = {{ choice = [...] }}, or move it to [fixed]"
        raise UsageError(f"[drawn] {name} = {value!r}", why=why, hint=hint)
    if "choice" in value:
        _refuse_unknown(value, ("choice",), setting=name)
        choices = value["choice"]
        if not isinstance(choices, list) or len(choices) < 2:
            raise UsageError(f"[drawn] {name}: choice = {choices!r}", why="expected a list of at least two values")
        if any(choice in choices[:index] for index, choice in enumerate(choices)):
            raise UsageError(f"[drawn] {name}: choice = {choices!r}", why="a value occurs twice")
        _check_json(f"[drawn] {name}: choice", choices)
        if name == TEACHER:
            _check_teachers(f"[drawn] {name}: choice", choices)
        return Choice(tuple(choices))
    if name == TEACHER:
        _check_teachers(f"[drawn] {name}", [dict(value)])
    _refuse_unknown(value, RANGE_KEYS, setting=name)
    return _range(name, value, base)


def _range(name: str, value: Mapping[str, Any], base: TrainSettings) -> IntRange | FloatRange:
    hint = EXAMPLE
    low, high, log, step = value.get("low"), value.get("high"), value.get("log", False), value.get("step")
    numbers = [number for number in (low, high, step) if number is not None]
    if low is None or high is None or not all(type(number) in (int, float) for number in numbers):
        raise UsageError(f"[drawn] {name} = {dict(value)!r}", why="expected the numbers low and high", hint=hint)
    if not all(abs(number) < MAX_NUMBER for number in numbers):
        why = "expected finite numbers of at most 64 bits"
        raise UsageError(f"[drawn] {name} = {dict(value)!r}", why=why, hint=hint)
    if not isinstance(log, bool):
        raise UsageError(f"[drawn] {name}: log = {log!r}", why="expected true or false", hint=hint)
    if not low < high or (log and low <= 0):
        why = "expected 0 < low < high" if log else "expected low < high"
        raise UsageError(f"[drawn] {name}: low = {low!r}, high = {high!r}", why=why, hint=hint)
    if all(type(number) is int for number in numbers) and not _is_float(name, base):
        if step is not None and (step < 1 or log):
            why = "expected no step with log = true" if log else "expected at least 1"
            raise UsageError(f"[drawn] {name}: step = {step!r}", why=why)
        return IntRange(low, high, step or 1, log)
    if step is not None:
        raise UsageError(f"[drawn] {name}: step = {step!r}", why="only a range of integers has steps", hint=hint)
    return FloatRange(float(low), float(high), log)


def _is_float(name: str, base: TrainSettings) -> bool:
    """Return True for a setting whose values are floats, so that ``low = 0`` need not be written 0.0."""
    try:
        return isinstance(attrgetter(name)(base), float)
    except AttributeError:
        options = _options(base.architecture) if name.startswith("model.") else {}
        return isinstance(options.get(name.removeprefix("model.")), float)


def _options(architecture: str) -> dict[str, Any]:
    """Return the options of an architecture of the catalog with their defaults; empty for an unknown one."""
    if architecture not in plugins.names(ARCHITECTURES):
        return {}
    parameters = inspect.signature(plugins.load(ARCHITECTURES, architecture).build).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.name not in NO_OPTIONS}


def _accepts(architecture: str, name: str) -> bool:
    return not name.startswith("model.") or name.removeprefix("model.") in _options(architecture)


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], *, setting: str = "") -> None:
    """Raise UsageError for an unknown entry of the file, or of the drawn ``setting``."""
    for name in table:
        if name not in known:
            entry = f"entry of [drawn] {setting}: {name}" if setting else f"entry {name}"
            close = difflib.get_close_matches(name, known, n=1)
            hint = close[0] if close else "" if setting else f"move it to [fixed]: {name} = ..."
            raise UsageError(f"unknown {entry}", why=f"expected {', '.join(known)}", hint=hint)


def _check_json(entry: str, value: Any) -> None:
    """Raise UsageError for a value that the journal cannot hold: a date, a time, or a number that is not finite."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        why = "expected text, finite numbers, true, false or lists of them"
        raise UsageError(f"{entry} = {value!s}", why=why) from error


def _check_teachers(entry: str, values: list[Any]) -> None:
    for value in values:
        if not isinstance(value, str):
            why = "expected text: runs and models separated by commas, or none"
            raise UsageError(f"{entry} = {value!r}", why=why, hint='teacher = "small"')


def _count(tables: Mapping[str, Any], name: str, default: int, *, low: int) -> int:
    value = tables.get(name, default)
    if type(value) is not int or value < low:
        raise UsageError(f"{name} = {value!r}", why=f"expected an integer of at least {low}", hint=f"{name} = 1000")
    return value
