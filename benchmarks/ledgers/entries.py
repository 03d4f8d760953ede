"""Validate the entries of the project's own records.

    require(fields, n=int, p50_us=(int, float))
    check_entry(fields, "peer", numbers=("bytes", "p50_us"), source=str)    # an entry that was written by hand
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgefer.errors import DataError

__all__ = ["check_entry", "require"]


def require(fields: Mapping[str, Any], **types: type | tuple[type, ...]) -> None:
    """Check that a record has the fields ``types``, each of its type.

    Raises:
        DataError: a field is missing or has another type; the message names the first.
    """
    for name, expected in types.items():
        if name not in fields:
            raise DataError(f"a record without {name!r}", why=f"it has {', '.join(map(repr, fields)) or 'no field'}")
        if not isinstance(fields[name], expected):
            kinds = expected if isinstance(expected, tuple) else (expected,)
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise DataError(f"a record whose {name!r} is {type(fields[name]).__name__}", why=f"{wanted} was expected")


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
        fields: the entry.
        kind: name of such an entry, for errors.
        numbers: fields that must contain a positive number, or None if it was not measured. A field whose name ends
            with _percent must not exceed 100.
        optional: further such fields, which may be absent.
        types: further required fields and their types.

    Raises:
        DataError: a field is missing or invalid; the message names the entry.
    """
    if not isinstance(fields, Mapping):
        raise DataError(f"a {kind} is {type(fields).__name__}", why="expected an object")
    name = f"{kind} {fields.get('name')!r}"
    numbers = [*numbers, *(field for field in optional if field in fields)]
    try:
        require(fields, name=str, **types, **dict.fromkeys(numbers, (int, float, type(None))))
    except DataError as error:
        raise DataError(f"{name}: {error.what}", why=error.why) from error
    for field in numbers:
        value, highest = fields[field], 100.0 if field.endswith("_percent") else math.inf
        if value is None:
            continue
        if isinstance(value, bool) or not 0 < value <= highest or math.isinf(value):
            expected = "a number above 0" + (" and up to 100" if math.isfinite(highest) else "")
            raise DataError(f"{name}: {field!r} is {value!r}", why=f"expected {expected}, or null")
