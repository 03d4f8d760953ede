"""A state file with an invalid entry is refused with the name of the entry, before any variable changes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.workstation.quantization.qat.trainer import QatEpoch
from edgefer.workstation.training.schedule import Epoch
from edgefer.workstation.training.state import check_variables, read_state, write_state

EPOCHS = [Epoch(number, 0.1, 1.5, 0.5, 1.4, 0.6, 12.0) for number in (1, 2)]
VALUES = [np.ones((3, 2), np.float32), np.array(7, np.int64)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_state(tmp_path / "state.npz", EPOCHS, VALUES, {"recalls": np.ones(7)})
    return tmp_path / "state.npz"


def rewrite(path: Path, **changes: Any) -> None:
    with np.load(path) as content:
        arrays = dict(content) | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


def test_a_written_state_is_read_back(path: Path) -> None:
    state = read_state(path, Epoch)
    assert state.history == EPOCHS
    assert [value.tolist() for value in state.variables] == [value.tolist() for value in VALUES]
    assert list(state.extra) == ["recalls"]
    check_variables(state.variables, VALUES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history": None}, "it has no history"),
        ({"history": np.array("[")}, "its history is not JSON"),
        ({"history": np.array("[" * 100_000)}, "its history is not JSON"),
        ({"history": np.array(3)}, "expected a list of epochs"),
        ({"history": np.array('["x"]')}, "history[0] does not have the entries"),
        ({"v0": None}, "it has 1 variables, but not v0"),
        ({"v0": np.array([["x"] * 2] * 3)}, "v0 has the type <U1, expected numbers"),
        ({"v0": np.full((3, 2), np.nan, np.float32)}, "v0 has values that are not finite"),
        ({"v0": np.array([{}])}, "Object arrays cannot be loaded"),
    ],
)
def test_an_invalid_entry_is_named(path: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(path, **changes)
    with pytest.raises(DataError, match=re.escape(message)):
        read_state(path, Epoch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epoch", 5, "history[1] is epoch 5, expected 2"),
        ("epoch", "2", "history[1].epoch is '2', expected a number"),
        ("epoch", 2.5, "history[1].epoch is '2.5'"),
        ("epoch", True, "history[1].epoch is 'True'"),
        ("loss", None, "history[1].loss is 'None', expected a number"),
        ("loss", [1], "history[1].loss"),
        ("selection_accuracy", 1.5, "history[1].selection_accuracy is '1.5', expected a share from 0 to 1"),
        ("accuracy", float("nan"), "history[1].accuracy is 'nan'"),
        ("unknown", 1, "history[1] does not have the entries"),
    ],
)
def test_an_invalid_epoch_is_named(path: Path, name: str, value: Any, message: str) -> None:
    rows = [dataclasses.asdict(epoch) for epoch in EPOCHS]
    rows[1][name] = value
    rewrite(path, history=np.array(json.dumps(rows)))
    with pytest.raises(DataError, match=re.escape(message)):
        read_state(path, Epoch)


def test_the_epochs_of_another_kind_of_training_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match=r"history\[0\] does not have the entries epoch, .*, agreement"):
        read_state(path, QatEpoch)


@pytest.mark.parametrize(
    ("values", "message"),
    [(VALUES[:1], "it has 1 variables, expected 2"), ([VALUES[0].T, VALUES[1]], r"v0 has the shape \(2, 3\)")],
)
def test_values_of_other_variables_are_refused(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_variables(values, VALUES)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_a_damaged_file_is_an_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_state(path, Epoch)
