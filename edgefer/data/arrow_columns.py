"""Find the columns of pictures, pixels, classes and splits in the schema of a Parquet or Arrow file.

    columns = find_columns(shard, file.schema, roles={"label": "mood"})
    columns.picture, columns.label, columns.classes     # "image", "mood", ("happy", "sad")

Columns are found by --columns, by the features that Hugging Face datasets store in the schema, or by their usual names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.data.arrow_files import load_pyarrow
from edgefer.data.naming import list_names, quote_name
from edgefer.data.shards import Shard
from edgefer.data.table_columns import SPLIT_NAMES, SUBJECT_NAMES
from edgefer.errors import DataError, UsageError

__all__ = ["Columns", "find_columns"]

PICTURE_NAMES = ("image", "img", "picture", "photo", "face", "image_bytes", "bytes", "jpg", "jpeg", "png")
PIXEL_NAMES = ("pixels", "pixel_values", "image")
LABEL_NAMES = ("label", "labels", "emotion", "emotions", "expression", "class", "category", "target")
PICTURE_ROLES = ("image", "path", "pixels")
NAMED_COLUMNS = 12
HINT = "--columns label=NAME,image=NAME"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a file.

    Attributes:
        picture: column of pictures, pixels or paths.
        are_pixels: True for pixels as text or numbers.
        are_paths: True for paths of picture files as text.
        label: column of classes.
        classes: names of numbered classes, or empty.
        split, subject: columns, or None.
    """

    picture: str
    are_pixels: bool
    are_paths: bool
    label: str
    classes: tuple[str, ...]
    split: str | None
    subject: str | None


def find_columns(shard: Shard, schema: Any, roles: Mapping[str, str]) -> Columns:
    """Return the columns of a file by --columns, by the features in its schema, or by usual names."""
    features = _features(schema)
    role = next((role for role in PICTURE_ROLES if role in roles), "")
    chosen = _named(shard, schema, roles)
    picture = chosen.get(role) or _picture_column(schema, features)
    label = chosen.get("label") or _label_column(schema, features, picture)
    if picture is None or label is None:
        lacking = "pictures or pixels" if picture is None else "classes"
        raise DataError(
            f"{quote_name(shard.path)} has no column of {lacking}",
            why=f"its columns are {_described(schema)}",
            hint=HINT,
        )
    if not _is_scalar(schema, label):
        raise DataError(
            f"{quote_name(shard.path)}: column {quote_name(label)} is {schema.field(label).type}",
            why="expected classes: names or numbers",
            hint=HINT,
        )
    split = chosen.get("split") or next((name for name in schema.names if name.lower() in SPLIT_NAMES), None)
    classes = features.get(label, {}).get("names", [])
    kind = schema.field(picture).type
    if not _has_pictures(kind) and not _has_pixels(kind):
        raise DataError(
            f"{quote_name(shard.path)}: column {quote_name(picture)} is {kind}",
            why="expected pictures (binary, or a struct with bytes and path) or pixels (text or a list of integers)",
            hint=HINT,
        )
    are_paths = role == "path" and _is_text(kind)
    subject = next((name for name in schema.names if name.lower() in SUBJECT_NAMES and _is_scalar(schema, name)), None)
    return Columns(
        picture=picture,
        are_pixels=not are_paths and not _has_pictures(kind),
        are_paths=are_paths,
        label=label,
        classes=tuple(map(str, classes)) if isinstance(classes, list) else (),
        split=split,
        subject=chosen.get("subject") or subject,
    )


def _named(shard: Shard, schema: Any, roles: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that the user names, by role; upper and lower case are equal."""
    lower = {name.lower(): name for name in reversed(schema.names)}
    missing = [name for name in roles.values() if name.lower() not in lower]
    if missing:
        raise UsageError(
            f"{quote_name(shard.path)} has no column {list_names(missing)}",
            why=f"its columns are {_described(schema)}",
            hint=HINT,
        )
    return {role: lower[name.lower()] for role, name in roles.items()}


def _features(schema: Any) -> dict[str, Mapping[str, Any]]:
    """Return the features of a Hugging Face data set by column, from the metadata of a schema."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in info.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _picture_column(schema: Any, features: Mapping[str, Mapping[str, Any]]) -> str | None:
    usable = [name for name in schema.names if _has_pictures(schema.field(name).type)]
    images = [name for name in usable if features.get(name, {}).get("_type") == "Image"]
    named = [name for wanted in PICTURE_NAMES for name in usable if name.lower() == wanted]
    pixels = [name for name in schema.names if name.lower() in PIXEL_NAMES and _has_pixels(schema.field(name).type)]
    return next(iter([*images, *named, *pixels, *(usable if len(usable) == 1 else [])]), None)


def _label_column(schema: Any, features: Mapping[str, Mapping[str, Any]], picture: str | None) -> str | None:
    classes = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    named = [name for wanted in LABEL_NAMES for name in schema.names if name.lower() == wanted and name != picture]
    # Of several numbered classes, such as fine and coarse ones, the usual name decides.
    preferred = [name for name in named if name in classes]
    return next(iter([*preferred, *(classes if len(classes) == 1 else []), *named]), None)


def _has_pictures(kind: Any) -> bool:
    """Return True for binary values, and for structs with bytes or a path."""
    types = load_pyarrow("pyarrow").types
    if types.is_struct(kind):
        names = {kind.field(index).name for index in range(kind.num_fields)}
        return bool(names & {"bytes", "path"})
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _has_pixels(kind: Any) -> bool:
    """Return True for texts, and for lists of integers, also of two dimensions."""
    types = load_pyarrow("pyarrow").types
    kind = getattr(kind, "storage_type", kind)  # an Array2D of Hugging Face datasets
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
        if types.is_integer(kind):
            return True
    return _is_text(kind)


def _is_text(kind: Any) -> bool:
    types = load_pyarrow("pyarrow").types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_scalar(schema: Any, name: str) -> bool:
    kind = schema.field(name).type
    return not load_pyarrow("pyarrow").types.is_nested(kind) and not _has_pictures(kind)


def _described(schema: Any) -> str:
    return list_names([f"{field.name} ({str(field.type)[:40]})" for field in schema], limit=NAMED_COLUMNS)
