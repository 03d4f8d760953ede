"""Validation of a model's provenance: the data, settings, options and runs that it was made with.

    check_provenance(artifact.provenance)           # before a report or a model card uses it
    check_origin(environment)                       # the initial run and the teachers alone

A provenance may have further entries, which are not checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgefer.results import schema

__all__ = ["check_origin", "check_provenance"]

PARTS = ("calibration", "data", "qat", "recipe", "scores", "settings")
TUNING = ("epochs", "learning_rate", "distill")


def check_provenance(provenance: Mapping[str, Any], *, place: str = "provenance") -> None:
    """Check the entries of a provenance that edgefer reads.

    Args:
        provenance: entry of a contract or a record.
        place: its path in the record, for the error message.

    Raises:
        DataError: an entry has the wrong type; the message names it.
    """
    record = schema.Fields(provenance, place)
    for key in ("converter", "edgefer", "system"):
        record.optional(record.text, key)
    parts = {key: record.optional(record.object, key) or schema.Fields({}) for key in PARTS}
    data, recipe, settings, tuning = (parts[key] for key in ("data", "recipe", "settings", "qat"))
    data.optional(data.text, "name")
    recipe.optional(recipe.texts, "float_layers")
    settings.optional(settings.object, "input")
    for key in TUNING:
        if key in tuning:
            tuning.number(key)
    check_origin(record)
    record.to_plain()


def check_origin(origin: Mapping[str, Any]) -> None:
    """Check the initial run and the teachers of an environment or a provenance.

    Raises:
        DataError: an entry has the wrong type; the message names it.
    """
    record = schema.Fields(origin)
    parent = record.optional(record.object, "parent")
    for source in [*([parent] if parent else []), *(record.optional(record.objects, "teachers") or ())]:
        source.text("run")
