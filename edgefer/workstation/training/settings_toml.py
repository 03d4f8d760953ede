"""Read and write training settings as TOML, and override single settings.

    settings = resolve(settings, file=Path("mine.toml"), assignments=["augment.rotation_degrees=15", "model.width=16"])
    from_toml(to_toml(settings)) == settings        # to_toml() writes the settings.toml of a run folder

``edgefer train --settings`` reads the same format, and ``--set key=value`` overrides one setting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgefer.contract.preprocessing import Clahe
from edgefer.errors import UsageError
from edgefer.file_kinds import TOML, describe_kind
from edgefer.workstation.training.settings import AUGMENT_PRESETS, TrainSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["from_json", "from_toml", "named_system", "resolve", "to_toml", "toml_errors"]

FILE_HINT = "--settings RUN/settings.toml"
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def resolve(base: TrainSettings, *, file: Path | None = None, assignments: Iterable[str] = ()) -> TrainSettings:
    """Override settings of ``base`` with a TOML ``file``, then with "key=value" ``assignments``.

    Args:
        base: initial settings.
        file: TOML file.
        assignments: overrides; nested keys contain a dot.

    Raises:
        UsageError: a key does not exist, a value has the wrong type or range, or the file is not valid TOML.
    """
    settings = base if file is None else _merge_file(base, file)
    # Apply the architecture first, because it clears the model options.
    for assignment in sorted(assignments, key=lambda text: text.partition("=")[0].strip() != "architecture"):
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}", why="expected key=value", hint="--set epochs=30")
        delta: Any = _parse_value(text.strip())
        for part in reversed(key.strip().split(".")):
            delta = {part: delta}
        settings = _merge(settings, delta)
    return settings


@contextlib.contextmanager
def toml_errors(file: Path, *, what: str, hint: str) -> Iterator[None]:
    """Raise UsageError if a TOML file cannot be read or parsed, and name the file in the errors of its entries.

    Args:
        file: the file that is read in the block.
        what: noun for the error, such as "settings from".
        hint: hint for a file that cannot be read or parsed.
    """
    failed = f"cannot read {what} {file}"
    try:
        yield
    except OSError as error:
        raise UsageError(failed, why=error.strerror or str(error), hint=hint) from error
    except UnicodeDecodeError as error:
        kind = describe_kind(file)
        if kind == TOML or error.object.startswith(UTF_16_MARKS):
            encoding = "UTF-16" if error.object.startswith(UTF_16_MARKS) else "not UTF-8"
            why = f"its encoding is {encoding}, expected UTF-8"
            raise UsageError(failed, why=why, hint="save the file as UTF-8") from error
        raise UsageError(failed, why=f"it is {kind}, expected TOML", hint=hint) from error
    except RecursionError as error:
        raise UsageError(failed, why="its values are nested too deeply", hint=hint) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(failed, why=str(error), hint=hint) from error
    except UsageError as error:
        raise UsageError(f"{file}: {error.what}", why=error.why, hint=error.hint) from error


def named_system(file: Path) -> str | None:
    """Return the system that a settings file names, or None.

    Raises:
        UsageError: the file cannot be read or is not valid TOML.
    """
    with _file_errors(file):
        name = _read_file(file).get("system")
    return name if isinstance(name, str) else None


def _merge_file(base: TrainSettings, file: Path) -> TrainSettings:
    with _file_errors(file):
        merged: TrainSettings = _merge(base, _read_file(file))
    return merged


def _file_errors(file: Path) -> contextlib.AbstractContextManager[None]:
    return toml_errors(file, what="settings from", hint=FILE_HINT)


def _read_file(file: Path) -> dict[str, Any]:
    settings = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    if not settings:
        raise UsageError("it contains no settings", why="expected lines such as epochs = 30", hint=FILE_HINT)
    return settings


def _parse_value(text: str) -> Any:
    try:
        (value,) = tomllib.loads(f"value = {text}").values()
    except ValueError:
        # A bare word is a string, so the shell needs no nested quotes. So is text that parses as several values.
        return text
    return value


def _merge(value: Any, delta: Mapping[str, Any], *, prefix: str = "") -> Any:
    """Return a copy of a dataclass ``value`` updated with ``delta``; nested tables are merged, not replaced.

    A change of the architecture first clears ``model``, because its options belong to the previous architecture.
    """
    known = [item.name for item in dataclasses.fields(value)]
    changes: dict[str, Any] = {}
    if isinstance(value, TrainSettings) and delta.get("architecture", value.architecture) != value.architecture:
        value = dataclasses.replace(value, model={})
    for key, new in delta.items():
        if key not in known:
            similar = _similar(key, value)
            raise UsageError(
                f"unknown setting {prefix}{key}",
                why=f"known settings: {', '.join(known)}",
                hint=f"{prefix}{similar}" if similar else f"--set {prefix}NAME=VALUE with one of these names",
            )
        current = getattr(value, key)
        if key == "clahe":  # the only optional table
            current = current or Clahe()
        if key == "augment" and isinstance(new, str):
            new = _augment_preset(new)
        if key == "clahe" and isinstance(new, bool):  # TOML has no null
            changes[key] = current if new else None
        elif isinstance(current, Mapping) and isinstance(new, Mapping):
            changes[key] = {**current, **new}
        elif dataclasses.is_dataclass(current) and isinstance(new, Mapping):
            changes[key] = _merge(current, new, prefix=f"{prefix}{key}.")
        elif isinstance(current, Mapping) or dataclasses.is_dataclass(current):
            raise UsageError(f"{prefix}{key} = {new!r}", why="it is a table", hint=f"--set {prefix}{key}.NAME=VALUE")
        else:
            changes[key] = _converted(new, current)
    return dataclasses.replace(value, **changes)


def _similar(key: str, value: Any) -> str:
    """Return the setting that ``key`` abbreviates or misspells, also in the tables of ``value``; "" without one."""
    names = [item.name for item in dataclasses.fields(value)]
    for table in tuple(names):
        content = getattr(value, table)
        if dataclasses.is_dataclass(content):
            content = {item.name: item for item in dataclasses.fields(content)}
        names += [f"{table}.{name}" for name in content] if isinstance(content, Mapping) else []
    last = {name: name.rpartition(".")[2] for name in names}
    initials = {name: "".join(word[0] for word in text.split("_")) for name, text in last.items() if "_" in text}
    close = difflib.get_close_matches(key, last.values(), n=1)
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: last[name] == key,
        lambda name: initials.get(name) == key,
        lambda name: last[name].startswith(f"{key}_"),
        lambda name: last[name] in close,
    )
    return next((name for resembles in tests for name in names if resembles(name)), "")


def _converted(new: Any, current: Any) -> Any:
    """Convert an int to a float and a list of numbers to a tuple, so that settings do not depend on the spelling."""
    if isinstance(current, float) and type(new) is int:
        return float(new)
    if isinstance(current, tuple) and isinstance(new, list) and all(type(item) in (int, float) for item in new):
        return tuple(map(float, new))
    return new


def _augment_preset(name: str) -> dict[str, Any]:
    if name not in AUGMENT_PRESETS:
        close = difflib.get_close_matches(name, AUGMENT_PRESETS, n=1)
        hint = f"--augment {(close or ['standard'])[0]}"
        why = f"expected one of {', '.join(AUGMENT_PRESETS)}"
        raise UsageError(f"unknown augmentation {name!r}", why=why, hint=hint)
    return dataclasses.asdict(AUGMENT_PRESETS[name])


def to_toml(settings: TrainSettings) -> str:
    """Serialize settings as TOML; from_toml() and ``edgefer train --settings`` read back an equal value."""
    fields = settings.to_json()
    tables = {name: fields.pop(name) for name in ("model", "input", "augment")}
    lines = _toml_lines(fields)
    for name, table in tables.items():
        lines += ["", f"[{name}]", *_toml_lines(table)]
    return "\n".join(lines) + "\n"


def _toml_lines(table: Mapping[str, Any]) -> list[str]:
    # TOML has no null; an absent key keeps the default, None.
    return [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in table.items() if value is not None]


def _toml_key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else json.dumps(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_toml_lines(value))} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, float):
        return repr(value)  # TOML and Python share the syntax of infinities
    # JSON and TOML share the syntax of integers and booleans, and that of strings but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def from_toml(text: str) -> TrainSettings:
    """Parse settings from the output of to_toml()."""
    merged: TrainSettings = _merge(TrainSettings(), tomllib.loads(text))
    return merged


def from_json(fields: Mapping[str, Any]) -> TrainSettings:
    """Parse settings from the output of TrainSettings.to_json(), such as those in a contract."""
    merged: TrainSettings = _merge(TrainSettings(), _without_null(fields))
    return merged


def _without_null(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_null(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
        if value is not None
    }
