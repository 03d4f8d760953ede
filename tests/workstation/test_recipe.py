import dataclasses

import pytest

from edgefer import catalogue
from edgefer.errors import UsageError
from edgefer.workstation.recipe import DEFAULTS, Recipe, check_recipe

OTHER = {
    "io": "uint8", "per_channel": False, "dense_per_channel": True, "ranges": "min-max", "rounding": "nearest",
    "bias_correction": False, "float_layers": ("stem", "logits"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "named"),
    [({"io": "int16"}, "int8, uint8, float32"), ({"ranges": "max"}, "moving-average"), ({"rounding": "up"}, "nearest")],
)
def test_an_unknown_choice_is_told_what_there_is(choice, named):
    with pytest.raises(UsageError, match=named):
        Recipe(**choice)


def test_a_broken_regular_expression_is_refused_before_anything_is_read():
    with pytest.raises(UsageError, match=r"'\(stem' is no regular expression: missing"):
        Recipe(float_layers=("logits", "(stem"))


def test_told_is_what_differs():
    assert DEFAULTS.told() == {}
    assert Recipe(ranges="percentile", io="int8").told() == {"io": "int8"}


def test_each_field_is_refused_by_a_scheme_that_does_not_take_it():
    assert set(OTHER) == {field.name for field in dataclasses.fields(Recipe)}
    for scheme in catalogue.names("edgefer.workstation.schemes"):
        takes = catalogue.load("edgefer.workstation.schemes", scheme).TAKES
        for name, value in OTHER.items():
            if name in takes:
                check_recipe(Recipe(**{name: value}), scheme=scheme, takes=takes)
            else:
                with pytest.raises(UsageError, match=scheme):
                    check_recipe(Recipe(**{name: value}), scheme=scheme, takes=takes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bias_correction", "float32 without bias correction: float32 leaves the choice of nothing"),
        ("float_layers", "float32 with float layers stem, logits: float32"),
        ("dense_per_channel", "float32 with dense per channel: float32"),
        ("io", "float32 with io uint8: float32"),
    ],
)
def test_what_is_refused_is_said_in_words(name, said):
    with pytest.raises(UsageError, match=said):
        check_recipe(Recipe(**{name: OTHER[name]}), scheme="float32", takes=())
