"""Read fields of a JSON object with checks of type and range; errors name the field.

    fields = Fields.parse(content, entry="edgefer.json")
    fields.object("input").integer("height", 1, 512)        # input.height is 0, expected an integer from 1 to 512
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError

__all__ = ["Fields"]

MAX_DEPTH = 20
# Length of a quoted value in an error.
MAX_QUOTE = 60
HINT = "copy the file again, or quantize the run again"


@dataclass(frozen=True)
class Fields:
    """A JSON object and its place in a file.

    Attributes:
        values: the object.
        entry: name of the file, for errors.
        path: dotted path of the object in the file; empty for the top level.
    """

    values: Mapping[str, Any]
    entry: str
    path: str = ""

    @classmethod
    def parse(cls, content: bytes, *, entry: str) -> Fields:
        """Parse a JSON object.

        NaN and Infinity, which JSON does not have but Python writes, become None.

        Raises:
            DataError: not UTF-8, not JSON, not an object, too deeply nested, or with text that is not valid Unicode.
        """
        try:
            values = json.loads(content.decode(), parse_constant=lambda name: None)
            # A lone surrogate can be written in JSON but not in UTF-8.
            json.dumps(values, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise DataError(f"{entry} is damaged", why=f"not valid JSON: {error}", hint=HINT) from error
        if not isinstance(values, dict) or _depth(values) > MAX_DEPTH:
            why = f"expected a JSON object with at most {MAX_DEPTH} levels"
            raise DataError(f"{entry} is invalid", why=why, hint=HINT)
        return cls(values, entry)

    def integer(self, name: str, low: int, high: int) -> int:
        """Return the integer ``name``, which must be from ``low`` to ``high``."""
        value = self._value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(name, f"an integer from {low:,} to {high:,}")
        return value

    def number(self, name: str, low: float, high: float, *, default: float | None = None) -> float:
        """Return the number ``name``, which must be from ``low`` to ``high``; ``default`` if the field is missing."""
        if default is not None and name not in self.values:
            return default
        value = self._value(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def numbers(
        self, name: str, lengths: AbstractSet[int], low: float, high: float, *, default: tuple[float, ...]
    ) -> tuple[float, ...]:
        """Return the list of numbers ``name``, each from ``low`` to ``high``; ``default`` if the field is missing."""
        if name not in self.values:
            return default
        values = self._value(name)
        is_list = isinstance(values, (list, tuple)) and len(values) in lengths
        if not is_list or not all(type(value) in (int, float) and low <= value <= high for value in values):
            counts = " or ".join(map(str, sorted(lengths)))
            raise self.error(name, f"a list of {counts} numbers from {low:g} to {high:g}")
        return tuple(map(float, values))

    def choice(self, name: str, allowed: tuple[str, ...], *, default: str) -> str:
        """Return the string ``name``, which must be one of ``allowed``; ``default`` if the field is missing."""
        value = self.values.get(name, default)
        if value not in allowed:
            raise self.error(name, f"one of {', '.join(allowed)}")
        return str(value)

    def text(self, name: str, max_length: int) -> str:
        """Return the string ``name``, which must be printable and have at most ``max_length`` characters."""
        value = self._value(name)
        if not isinstance(value, str) or len(value) > max_length or not value.isprintable():
            raise self.error(name, f"printable text of at most {max_length} characters")
        return value

    def object(self, name: str) -> Fields:
        """Return the object ``name``."""
        value = self._value(name)
        if not isinstance(value, dict):
            raise self.error(name, "an object")
        return Fields(value, self.entry, self._path(name))

    def error(self, name: str, expected: str) -> DataError:
        """Return the error for the field ``name`` with an invalid value."""
        quote = json.dumps(self.values[name])
        quote = quote if len(quote) <= MAX_QUOTE else quote[: MAX_QUOTE - 3] + "..."
        return DataError(
            f"{self.entry} is invalid", why=f"{self._path(name)} is {quote}, expected {expected}", hint=HINT
        )

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise DataError(f"{self.entry} is incomplete", why=f"it has no {self._path(name)}", hint=HINT)
        return self.values[name]

    def _path(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def _depth(value: Any) -> int:
    """Return the number of levels of objects and lists; parse() has bounded the recursion."""
    children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(_depth, children), default=0)
