"""Map the names of classes and splits in data sets to labels and splits, and quote values in messages.

    label_of("Happiness"), label_of("3")            # "happy", "happy"
    split_of("FER2013Train"), split_of("val")       # "Training", "PublicTest"
    split_of("test")                                # TEST: assign_test() decides which test split it is
    assign_test({"train", "test"})                  # "PublicTest"
    canonical_name("Suprise")                       # "surprise"; unknown names stay as they are
    match_names(("anger", "joy"), LABELS)           # {"anger": 0}: indices into LABELS
    plain_number("3.0"), plain_number("fear")       # "3", "fear"
    quote("a\\x1b[2J")                               # 'a\\x1b[2J': without control characters
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet

from edgefer.contract.labels import LABELS
from edgefer.escaping import printable

__all__ = [
    "CONTEMPT", "FER2013_NUMBERS", "LABEL_OF_NAME", "SPLIT_WORDS", "TEST", "UNDECODED", "assign_test",
    "canonical_name", "composed", "counted", "is_class_name", "is_missing", "is_number", "label_of", "list_names",
    "match_names", "plain_number", "quote", "quote_name", "single_test_notes", "split_of", "splits_of", "subject_name",
    "test_note",
]  # fmt: skip

TEST = "test"
# For messages; "Training", "PublicTest" and "PrivateTest" are accepted, too.
SPLIT_WORDS = "train, validation or test"
LABEL_OF_NAME = {
    **{label: label for label in LABELS},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    # A common misspelling in the folders of data sets.
    "suprise": "surprise",
    "suprised": "surprise",
    "afraid": "fear",
}
# The eighth class of AffectNet, CK+ and FER+.
CONTEMPT = "contempt"
# Numbered classes of fer2013.csv, and of other tables and arrays of pixels, unless a map gives them other names.
FER2013_NUMBERS: Mapping[str, str] = {str(index): label for index, label in enumerate(LABELS)}
SPLIT_OF_WORD = {
    "train": "Training",
    "training": "Training",
    "val": "PublicTest",
    "valid": "PublicTest",
    "validation": "PublicTest",
    "dev": "PublicTest",
    "public": "PublicTest",
    "publictest": "PublicTest",
    "private": "PrivateTest",
    "privatetest": "PrivateTest",
    "test": TEST,
    "testing": TEST,
}
# Words around the name of a split, as in FER2013Train, train_set and images-test.
DECORATION = re.compile(r"^(?:fer2013|ferplus|fer|images?)|(?:set|split|data|images?|folder)$")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
MISSING = frozenset({"", "nan", "<na>"})
# Stands for bytes that are no text in the encoding of a file.
UNDECODED = "\ufffd"
QUOTED_CHARACTERS = 40
LISTED_NAMES = 8


def label_of(name: str) -> str | None:
    """Return the label for a class name or a class index of fer2013.csv, or None for any other text."""
    text = name.strip()
    number = text[:-2] if text.endswith(".0") else text
    return FER2013_NUMBERS.get(number) or LABEL_OF_NAME.get(text.lower())


def composed(name: str) -> str:
    """Return a name without outer spaces in Unicode's composed form (NFC), in which equal names have equal characters.

    File systems and tables represent letters such as \u00f6 by one character or, on macOS, by two.
    """
    return unicodedata.normalize("NFC", name.strip())


def canonical_name(name: str) -> str:
    """Return the label for the name of a class of FER2013 or contempt; any other name is only composed."""
    text = composed(name)
    if text.lower() in (CONTEMPT, "contemptuous"):
        return CONTEMPT
    return LABEL_OF_NAME.get(text.lower(), text)


def is_number(text: str) -> bool:
    """Return True for a decimal number, such as "3", "-1", "3.0" or "3.0e+00"."""
    return NUMBER.fullmatch(text) is not None


def is_missing(text: str) -> bool:
    """Return True for the text of a missing value: an empty one, or "nan" and "<NA>" as pandas writes them."""
    return text.strip().lower() in MISSING


def subject_name(text: str) -> str:
    """Return the person that a cell names, or "" for a missing value."""
    return "" if is_missing(text) else text


def plain_number(text: str) -> str:
    """Return an integer without its fraction, such as "3" for "3.0" and "3.0e+00"; any other text stays as it is."""
    if not is_number(text) or text.isdecimal():
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else text


def is_class_name(name: str) -> bool:
    """Return True for a name of a class of FER2013, or of contempt."""
    return canonical_name(name) in (*LABELS, CONTEMPT)


def match_names(names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Return the index into ``labels`` of each name that is equal to a label, or a synonym of it."""
    exact = {label: index for index, label in enumerate(labels)}
    canonical = {canonical_name(label).lower(): index for index, label in reversed(list(enumerate(labels)))}
    indices = {name: exact.get(name, canonical.get(canonical_name(name).lower())) for name in names}
    return {name: index for name, index in indices.items() if index is not None}


def split_of(name: str) -> str | None:
    """Return the split for a name: a split of FER2013, TEST for either test split, or None for other text."""
    word = re.sub(r"[\s_.\-]+", "", name.lower())
    return SPLIT_OF_WORD.get(word) or SPLIT_OF_WORD.get(DECORATION.sub("", DECORATION.sub("", word)))


def assign_test(names: AbstractSet[str]) -> str:
    """Return the split of a test set whose name does not distinguish PublicTest from PrivateTest.

    Args:
        names: all names of splits in the data set.

    Returns:
        "PublicTest"; "PrivateTest" if a validation set replaces PublicTest; "" if the data set already has both splits.
    """
    splits = {split_of(name) for name in names}
    if "PrivateTest" in splits:
        return "" if "PublicTest" in splits else "PublicTest"
    return "PrivateTest" if "PublicTest" in splits else "PublicTest"


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """Return the split of each name; "" for other text, and for a test set that assign_test() cannot assign."""
    known = frozenset(names)
    test = assign_test(known)
    return {name: test if split_of(name) == TEST else split_of(name) or "" for name in known}


def test_note(name: str) -> str:
    """Return the note on a test set, by its name in a message, that assign_test() takes as the validation split."""
    return f"{name} is used as the validation split, because there is no other to select the best epoch on."


def single_test_notes(splits: Mapping[str, str], *, column: str = "") -> tuple[str, ...]:
    """Return the notes on test sets that serve as the validation split.

    Args:
        splits: splits by name, of splits_of().
        column: column of the names; by default, they are names of folders.
    """
    names = sorted(name for name, split in splits.items() if split == "PublicTest" and split_of(name) == TEST)
    return tuple(test_note(f"{column} {quote(name)}" if column else f"{quote_name(name)}/") for name in names)


def quote(value: object, *, limit: int = QUOTED_CHARACTERS) -> str:
    """Quote a value of a file for a message: shortened, without control characters and undecodable bytes."""
    text = str(value)
    return repr(text if len(text) <= limit else text[:limit] + "...")


def list_names(names: Sequence[object], *, limit: int = LISTED_NAMES) -> str:
    """Return the first names for a message, separated by commas."""
    return ", ".join(map(quote_name, names[:limit])) + (", ..." if len(names) > limit else "")


def counted(number: int, noun: str) -> str:
    """Format a number of things: "1 image", "3,589 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def quote_name(name: object) -> str:
    """Return a name of a file, a folder or an array for a message: in one line, without control characters."""
    return printable(str(name), kept="")
