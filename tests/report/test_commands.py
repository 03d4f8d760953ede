"""The command lines that reproduce a model."""

import pytest

from edgefer.errors import DataError
from edgefer.report.commands import quantize_command, train_command

ALONE = "edgefer train --settings s.toml --data fer2013.csv --run runs/a"


@pytest.mark.parametrize(
    ("origin", "more"),
    [
        ({}, ""),
        ({"teachers": [], "parent": None}, ""),
        ({"teachers": [{"run": "wide-1"}, {"run": "wide-2"}]}, " --teacher runs/wide-1,runs/wide-2"),
        ({"parent": {"run": "small"}, "teachers": [{"run": "base"}]}, " --init-from runs/small --teacher runs/base"),
        ({"parent": {"run": "a b"}}, " --init-from 'runs/a b'"),
    ],
)
def test_a_training_command_names_initial_run_and_teachers(origin, more):
    assert train_command("runs/a", settings="s.toml", data="fer2013.csv", origin=origin) == ALONE + more


@pytest.mark.parametrize(
    "origin", [{"teachers": "wide"}, {"teachers": ["wide"]}, {"parent": {"system": "small"}}, {"parent": [1]}]
)
def test_an_invalid_origin_is_refused(origin):
    with pytest.raises(DataError):
        train_command("runs/a", settings="s.toml", data="fer2013.csv", origin=origin)


def test_the_rounding_in_a_contract_becomes_the_name_of_its_option():
    recipe = {"ranges": "percentile", "rounding": "second-order"}
    assert quantize_command("int8", {"recipe": recipe}, "RUN") == (
        "edgefer quantize RUN --scheme int8 --calibration-method percentile --rounding gptq"
    )


def test_synthetic_faces_and_quantization_aware_training_have_their_options():
    provenance = {"calibration": {"faces": 50, "seed": 3}, "qat": {"epochs": 2, "learning_rate": 0.001}}
    assert quantize_command("int8_qat", provenance, "a b") == (
        "edgefer quantize 'a b' --scheme int8_qat --calibration-size 50 --seed 3 --qat-epochs 2 "
        "--qat-learning-rate 0.001"
    )
