"""How a result file says what it is: a ``kind`` and a ``schema_version`` at the top of its JSON object.

    {**stamp("measurement", 1), ...}                # when it is written
    check(fields, "measurement", 1)                 # when it is read
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgefer.errors import DataError, IncompatibleError

__all__ = ["check", "stamp"]


def stamp(kind: str, version: int) -> dict[str, Any]:
    """The two fields with which a record begins."""
    return {"kind": kind, "schema_version": version}


def check(fields: Mapping[str, Any], kind: str, version: int) -> None:
    """Refuse a record that is something else, or newer than this edgefer reads.

    Raises:
        DataError: another kind of record, or none.
        IncompatibleError: a later schema version than ``version``.
    """
    if fields.get("kind") != kind:
        raise DataError(f"a record of kind {fields.get('kind')!r}", why=f"kind {kind!r} was expected")
    found = fields.get("schema_version")
    if not isinstance(found, int) or found > version:
        raise IncompatibleError(
            f"a {kind} of schema version {found}",
            why=f"this edgefer reads versions up to {version}",
            fix="pip install --upgrade edgefer",
        )
