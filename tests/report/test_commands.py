"""The command lines with which a model is made again."""

import pytest

from edgefer.errors import DataError
from edgefer.report.commands import train_command

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
def test_a_training_names_whom_it_learned_from_and_where_it_began(origin, more):
    assert train_command("runs/a", settings="s.toml", data="fer2013.csv", origin=origin) == ALONE + more


@pytest.mark.parametrize(
    "origin", [{"teachers": "wide"}, {"teachers": ["wide"]}, {"parent": {"system": "small"}}, {"parent": [1]}]
)
def test_an_origin_that_edgefer_does_not_write_is_refused(origin):
    with pytest.raises(DataError):
        train_command("runs/a", settings="s.toml", data="fer2013.csv", origin=origin)
