"""Entries of a record that somebody may have written by hand: each is checked, and a fault says whose it is.

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
    """Refuse an entry, called a ``kind``, without a name, the fields ``types``, or the ``numbers``.

    The ``optional`` numbers may be left out. A number is above zero, and up to 100 where its name ends with _percent;
    one that was not taken is None.

    Raises:
        DataError: such a field; the message names the entry by its name.
    """
    if not isinstance(fields, Mapping):
        raise DataError(f"a {kind} that is {type(fields).__name__}", why="an object was expected")
    name = f"the {kind} {fields.get('name')!r}"
    numbers = [*numbers, *(each for each in optional if each in fields)]
    try:
        schema.require(fields, name=str, **types, **dict.fromkeys(numbers, (int, float, type(None))))
    except DataError as error:
        raise DataError(f"{name} is {error.what}", why=error.why) from error
    for each in numbers:
        value, most = fields[each], 100.0 if each.endswith("_percent") else math.inf
        if value is None:
            continue
        if isinstance(value, bool) or not 0 < value <= most or math.isinf(value):
            wanted = "a number above 0" + (" and up to 100" if math.isfinite(most) else "")
            raise DataError(f"{name} has {value!r} as {each!r}", why=f"{wanted} was expected, or null")
