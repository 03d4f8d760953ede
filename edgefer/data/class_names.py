"""Give the classes of a data set their canonical names and order.

    table = with_canonical_classes(table, {"joie": "happy"})

Synonyms such as happiness and anger become the names of FER2013; contempt and unknown names stay as they are. Names
that differ only in upper and lower case are one class, with the most frequent spelling. The order is that of FER2013 if
all classes are among its seven, otherwise alphabetical.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgefer.contract.labels import LABELS
from edgefer.data.ferplus import VOTED_LABELS, rename_votes
from edgefer.data.naming import (
    CONTEMPT,
    UNDECODED,
    canonical_name,
    composed,
    is_number,
    list_names,
    plain_number,
    quote,
    quote_name,
)
from edgefer.data.records import SampleTable
from edgefer.errors import DataError

__all__ = ["NUMBERS_HINT", "class_key", "numbers_from_1", "read_labels_map", "with_canonical_classes"]

# As in the contract of a model.
MAX_CLASSES, LONGEST_NAME = 1000, 100
NO_NAMES: Mapping[str, str] = {}
HINT = '--labels-map FILE with one line per class, such as "1" = "happy"'
NUMBERS_HINT = '--labels-map FILE with one line per number, such as "1" = "happy"'


def read_labels_map(path: Path) -> dict[str, str]:
    """Read a TOML file that gives each class name of a data set the name that models use.

    Raises:
        DataError: the file cannot be read, is not a table of texts, or has two names for a class.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        why = quote_name(str(error))
        raise DataError(f"cannot read the labels map {quote_name(path)}", why=why, hint='joy = "happy"') from error
    wrong = next((key for key, value in values.items() if not isinstance(value, str) or not value.strip()), None)
    if wrong is not None or not values:
        why = f"{quote(wrong)} is {quote(values[wrong])}, expected a class name" if wrong is not None else "it is empty"
        raise DataError(f"{quote_name(path)} is not a labels map", why=why, hint='joy = "happy"')
    names: dict[str, str] = {}
    for key, value in values.items():
        other = names.setdefault(class_key(key), value.strip())
        if other != value.strip():
            why = f"upper and lower case are equal; expected one of {quote(other)} and {quote(value)}"
            raise DataError(f"{quote_name(path)} has two names for the class {quote(key)}", why=why, hint="remove one")
    return {key: value.strip() for key, value in values.items()}


def numbers_from_1(path: Path, names: Sequence[str], *, last: int, unit: str, hint: str) -> DataError:
    """Return the error for numbers of classes that count from 1: to skip the last class would shift all labels.

    Args:
        path: the data set.
        names: names of the classes 0 to n - 1.
        last: number of rows or samples with the number n.
        unit: noun for them, in the plural.
        hint: option or change that gives the numbers their meaning.
    """
    first, end = (f"{index} ({quote_name(names[index])})" for index in (0, len(names) - 1))
    return DataError(
        f"{quote_name(path)}: emotion ranges from 1 to {len(names)}",
        why=f"{last:,} {unit} have {len(names)} and none has 0; expected {first} to {end}",
        hint=hint,
    )


def with_canonical_classes(
    table: SampleTable, names: Mapping[str, str], *, defaults: Mapping[str, str] = NO_NAMES
) -> SampleTable:
    """Return the samples with canonical class names in their order, with a note on renamed classes.

    Args:
        table: samples with the class names of their source.
        names: class names of the source, or their canonical names, and their replacements; synonyms need no entry.
        defaults: the same, as the format defines them; ``names`` takes precedence.

    Raises:
        DataError: the classes are numbers without a meaning, there are too many, ``names`` are those of other data, or
            give a class with FER+ votes a name that FER+ lacks.
    """
    chosen, known = _by_key(names), _by_key({**table.default_names, **defaults})
    canonical = {name: known.get(class_key(name)) or canonical_name(name) for name in table.label_names}
    renamed = {
        name: chosen.get(class_key(name)) or chosen.get(class_key(label)) or label
        for name, label in canonical.items()
    }
    _refuse_numbers(table, renamed)
    merged = _merged(table, renamed)
    renamed = {name: merged.get(label, label) for name, label in renamed.items()}
    unique = set(renamed.values())
    _check_labels(unique)
    present = {class_key(text) for spelled in canonical.items() for text in spelled}
    unused = [name for name in names if class_key(name) not in present]
    # A run applies its map to other data too, which may have the names of the model already.
    if names and len(unused) == len(names) and unique.isdisjoint(chosen.values()):
        raise DataError(
            f"the labels map has no class of the data: it has {list_names(unused)}",
            why=f"the classes of the data are {_counts(table)}",
            hint=f'--labels-map FILE with one line per class, such as "{quote_name(table.label_names[0])}" = "happy"',
        )
    if unused:
        table = table.with_notes((f"The labels map has other classes than the data: {list_names(unused)}.",))
    table = table.with_notes(tuple(_notes(table, renamed, merged)))
    moved = {canonical[name]: label for name, label in renamed.items() if canonical[name] != label}
    if table.votes is not None and not moved.keys().isdisjoint(VOTED_LABELS):
        table = replace(table, votes=rename_votes(table.votes, moved))
    if tuple(renamed.values()) == table.label_names == LABELS:
        return table
    order = tuple(label for label in LABELS if label in unique) if unique <= set(LABELS) else tuple(sorted(unique))
    positions = np.array([order.index(renamed[name]) for name in table.label_names], np.int64)
    return replace(table, labels=positions[table.labels], label_names=order)


def _refuse_numbers(table: SampleTable, renamed: Mapping[str, str]) -> None:
    """Raise DataError if classes are numbers without a meaning."""
    numbers = [name for name, label in renamed.items() if is_number(label)]
    if numbers:
        raise DataError(
            f"the classes {list_names(numbers)} are numbers",
            why=f"their meaning is unknown; there are {_counts(table)}",
            hint=HINT,
        )


def _check_labels(labels: AbstractSet[str]) -> None:
    """Raise DataError for a label that a contract cannot hold, or too many of them."""
    unusable = next((label for label in labels if not _is_usable(label)), None)
    if unusable is not None:
        why = f"expected at most {LONGEST_NAME} printable characters"
        raise DataError(f"{quote(unusable)} is not usable as a class name", why=why, hint="rename the class")
    if len(labels) > MAX_CLASSES:
        why = f"at most {MAX_CLASSES:,} are supported; the first are {list_names(sorted(labels))}"
        raise DataError(f"the data set has {len(labels):,} classes", why=why)


def _notes(table: SampleTable, renamed: Mapping[str, str], merged: Mapping[str, str]) -> Iterator[str]:
    """Yield a note on the classes that have another name than in the source."""
    changes = [
        f"{quote_name(name)} is {quote_name(label)}"
        for name, label in renamed.items()
        if table.default_names.get(class_key(name)) != label
        and (_differs(name, label) or (label in merged and composed(name) != label))
    ]
    if changes:
        yield f"Class names: {', '.join(changes)}."


def _by_key(names: Mapping[str, str]) -> dict[str, str]:
    return {class_key(name): composed(label) for name, label in names.items()}


def class_key(name: str) -> str:
    """Return the form in which equal names of a source and of a labels map are equal: "3" for "3.0", in lower case."""
    return plain_number(composed(name)).lower()


def _is_usable(label: str) -> bool:
    is_text = label.isprintable() and UNDECODED not in label
    return 0 < len(label) <= LONGEST_NAME and is_text and label == label.strip()


def _differs(name: str, label: str) -> bool:
    return composed(name).lower() != label.lower()


def _merged(table: SampleTable, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the spelling of each class, by its spellings, for classes with several that differ only in case.

    It is the name of a class of FER2013 or contempt if there is one, otherwise the most frequent spelling.
    """
    images: Counter[str] = Counter()
    for name, count in zip(table.label_names, np.bincount(table.labels, minlength=len(table.label_names)).tolist()):
        images[labels[name]] += count
    groups: dict[str, list[str]] = {}
    for label in sorted(images, key=lambda label: (label not in (*LABELS, CONTEMPT), -images[label], label)):
        groups.setdefault(label.lower(), []).append(label)
    return {label: group[0] for group in groups.values() if len(group) > 1 for label in group}


def _counts(table: SampleTable) -> str:
    counts = np.bincount(table.labels, minlength=len(table.label_names)).tolist()
    return list_names([f"{name} ({count:,} images)" for name, count in zip(table.label_names, counts)])
