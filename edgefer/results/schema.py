"""How a result file says what it is: a ``kind`` and a ``schema_version`` at the top of its JSON object.

    {**header("measurement", 1), ...}                # when it is written
    validate(fields, "measurement", 1)                 # when it is read
    require(fields, runtime=str, threads=int)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgefer.errors import DataError, IncompatibleError

__all__ = ["header", "refuse_unknown", "require", "validate"]


def header(kind: str, version: int) -> dict[str, Any]:
    """The two fields with which a record begins."""
    return {"kind": kind, "schema_version": version}


def validate(fields: Mapping[str, Any], kind: str, version: int) -> None:
    """Refuse a record that is something else, or newer than this edgefer reads.

    Raises:
        DataError: another kind of record, or none.
        IncompatibleError: a later schema version than ``version``.
    """
    if fields.get("kind") != kind:
        raise DataError(f"a record of kind {fields.get('kind')!r}", why=f"kind {kind!r} was expected")
    found = fields.get("schema_version")
    if not isinstance(found, int):
        raise DataError(f"a {kind} of schema version {found!r}", why="a whole number was expected")
    if found > version:
        raise IncompatibleError(
            f"a {kind} of schema version {found}",
            why=f"this edgefer reads versions up to {version}",
            hint="pip install --upgrade edgefer",
        )


def refuse_unknown(fields: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """Refuse a request, called ``what``, with a setting that is not ``known``.

    Raises:
        IncompatibleError: such a setting; it came from a later edgefer.
    """
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise IncompatibleError(
            f"{what} asks for {', '.join(unknown)}",
            why="this edgefer does not know it",
            hint="pip install --upgrade edgefer",
        )


def require(fields: Mapping[str, Any], **types: type | tuple[type, ...]) -> None:
    """Refuse a record that lacks one of the fields ``types``, or has it in another type.

    Raises:
        DataError: such a field; the message names the first.
    """
    for name, expected in types.items():
        if name not in fields:
            raise DataError(f"a record without {name!r}", why=f"it has {', '.join(map(repr, fields)) or 'no field'}")
        if not isinstance(fields[name], expected):
            kinds = expected if isinstance(expected, tuple) else (expected,)
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise DataError(f"a record whose {name!r} is {type(fields[name]).__name__}", why=f"{wanted} was expected")
