from __future__ import annotations

from typing import Any

import pytest

from edgefer.errors import UsageError
from edgefer.workstation.networks.process_group import ProcessGroup, process_group

VARIABLES = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:1234,10.0.0.2:1234",
    "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    "KERAS_DISTRIBUTION_PROCESS_ID": "1",
}


def test_without_options_and_variables_a_training_has_one_process() -> None:
    assert process_group(environ={}) is None
    assert process_group(coordinator="a:1", processes=1, rank=0, environ={}) is None


def test_variables_describe_a_group_and_options_override_them() -> None:
    assert process_group(environ=VARIABLES) == ProcessGroup("10.0.0.1:1234", 2, 1)
    assert process_group(coordinator="b:5", processes=4, rank=0, environ=VARIABLES) == ProcessGroup("b:5", 4, 0)
    assert process_group(rank=0, environ=VARIABLES) == ProcessGroup("10.0.0.1:1234", 2, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 2}, "--coordinator or KERAS_DISTRIBUTION_JOB_ADDRESSES"),
        ({"coordinator": "host", "processes": 2, "rank": 0}, "HOST:PORT"),
        ({"coordinator": ":80", "processes": 2, "rank": 0}, "HOST:PORT"),
        ({"coordinator": "a:1", "processes": 2, "rank": 2}, "rank from 0 to 1"),
        ({"coordinator": "a:1", "processes": 0, "rank": 0}, "at least 1 process"),
        ({"coordinator": "a:1", "processes": -3, "rank": 0}, "at least 1 process"),
    ],
)
def test_incomplete_and_impossible_groups_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as failure:
        process_group(**options, environ={})
    assert failure.value.hint


def test_a_variable_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="--rank is 'one': expected an integer"):
        process_group(environ={**VARIABLES, "KERAS_DISTRIBUTION_PROCESS_ID": "one"})
