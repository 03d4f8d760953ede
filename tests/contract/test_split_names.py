"""Names of splits in texts."""

import pytest

from edgefer.contract.split_names import FER2013_LAYOUTS, split_of_data, split_phrase, split_title


@pytest.mark.parametrize("split", ["Training", "PublicTest", "PrivateTest", "10% of Training"])
@pytest.mark.parametrize("data", FER2013_LAYOUTS)
def test_images_of_fer2013_keep_its_names(split, data):
    assert split_title(split, data=data) == split_phrase(split, data=data) == split
    assert split_of_data(split, data=data) == f"{split} of {data}"


def test_other_data_have_a_validation_and_a_test_split():
    assert split_title("PublicTest", data="AffectNet") == "validation"
    assert split_phrase("PublicTest", data="AffectNet") == "the validation split"
    assert split_of_data("PublicTest", data="AffectNet") == "validation split of AffectNet"
    assert split_phrase("PrivateTest", data="pixel table") == "the test split"
    assert split_title("Training", data="npz") == split_phrase("Training", data="npz") == "Training"
    assert split_phrase("10% of Training", data="npz") == "10% of Training"
