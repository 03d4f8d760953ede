"""Read and check the resumable state of a training or a fine-tuning: its epochs, and the values of its variables.

    write_state(path, history, variables)
    state = read_state(path, Epoch)
    state.history, state.variables, state.extra
    check_variables(state.variables, trainer_variables)

Any program may have written the file, so each value is checked before it is used.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.errors import DataError
from edgefer.workstation.training.schedule import Epoch

__all__ = ["State", "check_variables", "read_state", "write_state"]

Row = TypeVar("Row", bound=Epoch)
SHARES = ("accuracy", "selection_accuracy", "agreement")


@dataclass(frozen=True, eq=False)
class State(Generic[Row]):
    """Content of a state file.

    Attributes:
        history: completed epochs.
        variables: values of the variables, in the order of the network and the optimizer.
        extra: all other arrays, by name.
    """

    history: list[Row]
    variables: list[npt.NDArray[Any]]
    extra: dict[str, npt.NDArray[Any]]


def write_state(
    path: Path,
    history: Sequence[Epoch],
    variables: Sequence[npt.NDArray[Any]],
    extra: Mapping[str, npt.NDArray[Any]] | None = None,
) -> None:
    """Write a state file atomically; the arguments are those of State."""
    arrays: dict[str, Any] = {f"v{index}": value for index, value in enumerate(variables)}
    rows = json.dumps([dataclasses.asdict(epoch) for epoch in history])
    with files.atomic_write(path) as temporary:
        np.savez(temporary, history=np.array(rows), **{**(extra or {}), **arrays})


def read_state(path: Path, row: type[Row], *, first_epoch: int | None = 1) -> State[Row]:
    """Read a state file.

    Args:
        path: file that write_state() wrote.
        row: class of an epoch.
        first_epoch: number of the first epoch; the others follow it. None for any numbers.

    Raises:
        DataError: the file is damaged, or has an invalid entry; the message has only the reason.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (
        OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, RuntimeError, MemoryError, SyntaxError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise DataError(str(error) or type(error).__name__) from error
    if "history" not in arrays:
        raise DataError("it has no history")
    history = _parse_history(arrays.pop("history"), row, first_epoch)
    count = sum(name[:1] == "v" and name[1:].isdecimal() for name in arrays)
    missing = [name for name in (f"v{index}" for index in range(count)) if name not in arrays]
    if missing:
        raise DataError(f"it has {count} variables, but not {missing[0]}")
    variables = [arrays.pop(f"v{index}") for index in range(count)]
    for index, value in enumerate(variables):
        if value.dtype.kind not in "fiub":
            raise DataError(f"v{index} has the type {value.dtype}, expected numbers")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise DataError(f"v{index} has values that are not finite")
    return State(history, variables, arrays)


def check_variables(values: Sequence[npt.NDArray[Any]], variables: Sequence[Any]) -> None:
    """Check that the values of a state fit the variables, before any of them is assigned.

    Args:
        values: values of a state.
        variables: Keras variables.

    Raises:
        DataError: the number or a shape differs.
    """
    if len(values) != len(variables):
        raise DataError(f"it has {len(values)} variables, expected {len(variables)}")
    for index, (value, variable) in enumerate(zip(values, variables, strict=True)):
        if value.shape != tuple(variable.shape):
            raise DataError(f"v{index} has the shape {value.shape}, expected {tuple(variable.shape)}")


def _parse_history(array: npt.NDArray[Any], row: type[Row], first_epoch: int | None) -> list[Row]:
    try:
        rows = json.loads(str(array))
    except (ValueError, RecursionError) as error:
        raise DataError(f"its history is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise DataError(f"its history is {str(rows)[:40]!r}, expected a list of epochs")
    history = [_parse_epoch(values, row, index) for index, values in enumerate(rows)]
    for index, epoch in enumerate(history):
        if first_epoch is not None and epoch.epoch != index + first_epoch:
            raise DataError(f"history[{index}] is epoch {epoch.epoch}, expected {index + first_epoch}")
    return history


def _parse_epoch(values: object, row: type[Row], index: int) -> Row:
    names = [item.name for item in dataclasses.fields(row)]
    if not isinstance(values, dict) or sorted(values) != sorted(names):
        raise DataError(f"history[{index}] does not have the entries {', '.join(names)}")
    for name, value in values.items():
        kinds = int if name == "epoch" else (int, float)
        is_valid = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_valid or (name in SHARES and not 0 <= value <= 1) or (name == "epoch" and value < 1):
            expected = "a share from 0 to 1" if name in SHARES else "a number"
            raise DataError(f"history[{index}].{name} is {str(value)[:40]!r}, expected {expected}")
    return row(**values)
