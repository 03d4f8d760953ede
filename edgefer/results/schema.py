"""Header and validation of the JSON records in result files.

    {**header("measurement", 1), ...}               # the first two fields of a record
    record = read(fields, "measurement", 1)         # the fields of a record of that kind, with typed access
    record.integer("threads"), record.object("invoke").number("p50_us")

An error contains the path of the value in the record, for example ``measurements[0].invoke.p50_us``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from edgefer.errors import DataError, IncompatibleError

__all__ = [
    "Fields",
    "header",
    "parse_json",
    "read",
    "read_device",
    "read_subject",
    "refuse_unknown",
]

# Floats above this bound could overflow when a reader converts their unit.
MAX_NUMBER = 1e18
MAX_INTEGER = 2**63 - 1
MAX_DEPTH = 100
MAX_SHOWN = 60
Value = TypeVar("Value")


class Fields(Mapping[str, Any]):
    """A JSON object of a record, with one method per type of value.

    Each method returns the value of a key, or raises DataError if the key is missing or the value is invalid.

    Args:
        values: the JSON object; a Fields keeps its place.
        place: path of the object in the record, such as "measurements[0]"; empty for the record itself.

    Raises:
        DataError: ``values`` is not a JSON object.
    """

    def __init__(self, values: object, place: str = "") -> None:
        if not isinstance(values, Mapping):
            raise _invalid(place or "the record", values, "an object")
        self.place: str = values.place if isinstance(values, Fields) else place
        self._values: Mapping[str, Any] = values._values if isinstance(values, Fields) else values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def optional(self, method: Callable[[str], Value], key: str) -> Value | None:
        """Return ``method(key)``, or None if the key is missing or null.

        Args:
            method: a method of this object, such as ``fields.number``.
            key: the key.
        """
        return None if self.get(key) is None else method(key)

    def text(self, key: str) -> str:
        """Return a string."""
        value = self._require(key, "a string")
        if not isinstance(value, str):
            raise self.invalid(key, "a string")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean."""
        value = self._require(key, "true or false")
        if not isinstance(value, bool):
            raise self.invalid(key, "true or false")
        return value

    def integer(self, key: str, *, low: int = -MAX_INTEGER, high: int = MAX_INTEGER) -> int:
        """Return an integer in ``low``..``high``."""
        expected = f"an integer{_range(low, high, MAX_INTEGER)}"
        value: int = self._require(key, expected)
        if not _is_integer(value) or not low <= value <= high:
            raise self.invalid(key, expected)
        return value

    def count(self, key: str) -> int:
        """Return an integer that is not negative."""
        return self.integer(key, low=0)

    def number(self, key: str, *, low: float = -MAX_NUMBER, high: float = MAX_NUMBER) -> float:
        """Return an integer or a finite float in ``low``..``high``."""
        expected = f"a number{_range(low, high, MAX_NUMBER) or f' of at most {MAX_NUMBER:g}'}"
        value: float = self._require(key, expected)
        if not _is_number(value) or not low <= value <= high:
            raise self.invalid(key, expected)
        return value

    def amount(self, key: str) -> float:
        """Return a finite number that is not negative."""
        return self.number(key, low=0.0)

    def share(self, key: str) -> float:
        """Return a number in 0..1."""
        return self.number(key, low=0.0, high=1.0)

    def object(self, key: str) -> Fields:
        """Return a nested object."""
        return Fields(self._require(key, "an object"), self._path(key))

    def plain(self, key: str) -> dict[str, Any]:
        """Return a nested object whose keys are not part of the schema, such as the provenance of a model."""
        return self.object(key).to_plain()

    def to_plain(self) -> dict[str, Any]:
        """Return this object as a dict of JSON values."""
        values = dict(self)
        _check_plain(values, self.place)
        return values

    def items_of(self, key: str, *, length: int | None = None) -> list[Any]:
        """Return a list, of ``length`` items if given."""
        expected = "a list" if length is None else f"a list of {length}"
        value = self._require(key, expected)
        if not isinstance(value, (list, tuple)) or length not in (None, len(value)):
            raise self.invalid(key, expected)
        return list(value)

    def objects(self, key: str) -> list[Fields]:
        """Return a list of nested objects."""
        return [Fields(value, f"{self._path(key)}[{index}]") for index, value in enumerate(self.items_of(key))]

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings as a tuple."""
        return self._items(key, None, lambda value: isinstance(value, str), "a string")

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a list of integers as a tuple."""
        return self._items(key, None, _is_integer, "an integer")

    def numbers(self, key: str, *, length: int | None = None) -> tuple[float, ...]:
        """Return a list of finite numbers, ``length`` of them if given, as a tuple."""
        expected = f"a number of at most {MAX_NUMBER:g}"
        return self._items(key, length, lambda value: _is_number(value) and abs(value) <= MAX_NUMBER, expected)

    def interval(self, key: str) -> tuple[float, float]:
        """Return a list of two numbers, the lower bound first."""
        low, high = self.numbers(key, length=2)
        if low > high:
            raise self.invalid(key, "the lower bound first")
        return low, high

    def invalid(self, key: str, expected: str) -> DataError:
        """Return the error for the value of ``key``."""
        return _invalid(self._path(key), self._values.get(key), expected)

    def _require(self, key: str, expected: str) -> Any:
        if key not in self._values:
            raise DataError(f"{self._path(key)} is missing", why=f"expected {expected}")
        return self._values[key]

    def _path(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _items(self, key: str, length: int | None, is_valid: Callable[[Any], bool], expected: str) -> tuple[Any, ...]:
        items = self.items_of(key, length=length)
        for index, item in enumerate(items):
            if not is_valid(item):
                raise _invalid(f"{self._path(key)}[{index}]", item, expected)
        return tuple(items)


def header(kind: str, version: int) -> dict[str, Any]:
    """Return the first two fields of a record."""
    return {"kind": kind, "schema_version": version}


def parse_json(text: str | bytes) -> Any:
    """Parse JSON text that another process or an earlier edgefer wrote.

    Raises:
        DataError: the text is not JSON, is not UTF-8, holds a number that is not finite or has more than 64 bits, or
            nests more than 100 levels. The message contains the path of the value.
    """
    try:
        value = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError as error:
        raise DataError("the JSON is too deep", why=f"expected at most {MAX_DEPTH} levels") from error
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8 text", why=f"byte {error.start} is invalid") from error
    except ValueError as error:
        raise DataError("not JSON", why=str(error)) from error
    _check_plain(value, "")
    return value


def read(fields: Mapping[str, Any], kind: str, version: int) -> Fields:
    """Return the fields of a record of one kind, for typed access.

    Raises:
        DataError: the record has another kind, or no kind.
        IncompatibleError: its schema version is later than ``version``.
    """
    record = Fields(fields)
    prefix = f"{record.place} has" if record.place else "record of"
    if record.get("kind") != kind:
        raise DataError(f"{prefix} kind {_shown(record.get('kind'))}", why=f"expected {kind!r}")
    written = record.get("schema_version")
    if not isinstance(written, int) or isinstance(written, bool):
        raise DataError(f"{prefix} schema version {_shown(written)}", why="expected an integer")
    if written > version:
        raise IncompatibleError(
            f"{prefix} kind {kind!r} and schema version {_shown(written)}",
            why=f"this edgefer reads versions up to {version}",
            hint="pip install --upgrade edgefer",
        )
    return record


def read_subject(record: Fields) -> dict[str, Any]:
    """Return the ``subject`` of a record, the facts that identify a model; edgefer's own keys have their types.

    Raises:
        DataError: the subject is missing, or a value has the wrong type.
    """
    return _typed(record, "subject", {"file": str, "scheme": str, "sha256": str, "system": str, "file_bytes": int})


def read_device(record: Fields) -> dict[str, Any]:
    """Return the ``device`` of a record, a description of a machine; ``cores`` is required.

    Raises:
        DataError: the device is missing, or a value has the wrong type.
    """
    device = record.object("device")
    device.integer("cores", low=1)
    device.optional(device.amount, "cpu_quota")
    for cluster in device.optional(device.objects, "clusters") or ():
        cluster.text("cpu")
        cluster.integers("cores")
    ran_on = device.optional(device.object, "ran_on")
    if ran_on is not None:
        ran_on.integers("cores")
        ran_on.optional(ran_on.text, "cpu")
    return _typed(record, "device", {"board": str, "cpu": str, "governor": str, "machine": str})


def refuse_unknown(fields: Mapping[str, Any], known: Iterable[str], name: str) -> None:
    """Refuse a request with a setting that is not ``known``.

    Args:
        fields: the request.
        known: names of the settings that this edgefer reads.
        name: noun for the request in the error.

    Raises:
        IncompatibleError: a later edgefer wrote the request.
    """
    unknown = sorted(map(str, set(fields) - set(known)))
    if unknown:
        raise IncompatibleError(
            f"{name} has the unknown setting {', '.join(unknown)}",
            why="a later edgefer wrote it",
            hint="pip install --upgrade edgefer",
        )


def _typed(record: Fields, key: str, types: Mapping[str, type]) -> dict[str, Any]:
    values = record.object(key)
    for name, expected in types.items():
        values.optional(values.text if expected is str else values.count, name)
    return record.plain(key)


def _check_plain(value: object, place: str) -> None:
    """Refuse numbers that json cannot write again, and objects that are too deep."""
    pending: list[tuple[object, str, int]] = [(value, place, 0)]
    while pending:
        value, place, depth = pending.pop()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not _is_number(value):
            raise _invalid(place or "the record", value, "a finite number of at most 64 bits")
        if not isinstance(value, (str, int, float, dict, list, tuple, type(None))):
            raise _invalid(place, value, "text, a number, true, false, a list or an object")
        if isinstance(value, (dict, list, tuple)):
            if depth == MAX_DEPTH:
                raise DataError("the record is too deep", why=f"expected at most {MAX_DEPTH} levels")
            items = value.items() if isinstance(value, dict) else ((f"[{i}]", item) for i, item in enumerate(value))
            separator = "." if place and isinstance(value, dict) else ""
            pending.extend((item, f"{place}{separator}{name}", depth + 1) for name, item in items)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**64


def _invalid(place: str, value: object, expected: str) -> DataError:
    return DataError(f"{place} is {_shown(value)}", why=f"expected {expected}")


def _range(low: float, high: float, limit: float) -> str:
    if low == -limit:
        return ""
    return f" of at least {low:g}" if high == limit else f" in {low:g}..{high:g}"


def _shown(value: object) -> str:
    """Format a JSON value for an error, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**64:
        return f"an integer of {value.bit_length()} bits"
    text = "null" if value is None else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
