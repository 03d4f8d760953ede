"""Names of splits for texts: those of FER2013 for its images, "validation" and "test" for other data.

    split_title("PublicTest", data="fer2013.csv")       # "PublicTest"
    split_title("PublicTest", data="AffectNet")         # "validation", as in "validation accuracy"
    split_phrase("PrivateTest", data="AffectNet")       # "the test split"
    split_of_data("PublicTest", data="AffectNet")       # "validation split of AffectNet"

Records and commands keep the names of FER2013 for all data.
"""

from __future__ import annotations

__all__ = ["FER2013_LAYOUTS", "FER2013_TREE", "split_of_data", "split_phrase", "split_title"]

# The image tree whose file names contain splits of FER2013.
FER2013_TREE = "FER2013 image tree"
FER2013_LAYOUTS = ("fer2013.csv", "icml", FER2013_TREE)
TITLES = {"PublicTest": "validation", "PrivateTest": "test"}


def split_title(split: str, *, data: str) -> str:
    """Return the name of a split as an attribute: "PublicTest" or "validation"; other names stay as they are.

    Args:
        split: name in a record.
        data: layout of the data set.
    """
    return split if data in FER2013_LAYOUTS else TITLES.get(split, split)


def split_phrase(split: str, *, data: str) -> str:
    """Return the name of a split as a noun: "PublicTest" or "the validation split"."""
    title = split_title(split, data=data)
    return split if title == split else f"the {title} split"


def split_of_data(split: str, *, data: str) -> str:
    """Return a split with its data set: "PublicTest of fer2013.csv" or "validation split of AffectNet"."""
    title = split_title(split, data=data)
    return f"{title} of {data}" if title == split else f"{title} split of {data}"
