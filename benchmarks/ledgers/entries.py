"""Validate the entries of handwritten records.

    check_entry(fields, "peer", numbers=("bytes", "p50_us"), source=str)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgefer.errors import DataError
from edgefer.results import schema

__all__ = ["check_entry"]


def check_entry(
    fields: Mapping[str, Any],
    kind: str,
    /,
    *,
    numbers: Sequence[str],
    optional: Iterable[str] = (),
    **types: type | tuple[type, ...],
) -> None:
    """Check one entry of a record.

    Args:
        fields: The entry.
        kind: Name of such an entry, for errors.
        numbers: Fields that must contain a positive number, or None if it was not measured. A field whose name ends
            with _percent must not exceed 100.
        optional: Further such fields, which may be absent.
        types: Further required fields and their types.

    Raises:
        DataError: A field is missing or invalid; the message names the entry.
    """
    if not isinstance(fields, Mapping):
        raise DataError(f"a {kind} is {type(fields).__name__}", why="expected an object")
    name = f"{kind} {fields.get('name')!r}"
    numbers = [*numbers, *(field for field in optional if field in fields)]
    try:
        schema.require(fields, name=str, **types, **dict.fromkeys(numbers, (int, float, type(None))))
    except DataError as error:
        raise DataError(f"{name}: {error.what}", why=error.why) from error
    for field in numbers:
        value, highest = fields[field], 100.0 if field.endswith("_percent") else math.inf
        if value is None:
            continue
        if isinstance(value, bool) or not 0 < value <= highest or math.isinf(value):
            expected = "a number above 0" + (" and up to 100" if math.isfinite(highest) else "")
            raise DataError(f"{name}: {field!r} is {value!r}", why=f"expected {expected}, or null")
