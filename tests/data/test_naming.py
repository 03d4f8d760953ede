"""Names of splits in data sets."""

import pytest

from edgefer.data.naming import counted, splits_of


@pytest.mark.parametrize(
    "expected",
    [
        {"train": "Training", "test": "PublicTest"},
        {"Training": "Training", "val": "PublicTest", "test": "PrivateTest"},
        {"PublicTest": "PublicTest", "PrivateTest": "PrivateTest", "test": ""},
        {"train": "Training", "holiday": ""},
        {},
    ],
)
def test_splits_of_names_depend_on_the_other_names(expected):
    assert splits_of(expected) == expected


def test_one_thing_is_not_in_the_plural():
    assert [counted(number, "image") for number in (0, 1, 3589)] == ["0 images", "1 image", "3,589 images"]
