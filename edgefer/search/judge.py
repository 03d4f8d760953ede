"""Interface of judges, which measure the cost of an untrained network.

    judge = open_judge("macs", options={}, devices=())
    judge.check()                                   # before a search: the device answers, the program is there
    judge.measure(Path("candidate.tflite"), place=0)    # Cost(1254400.0, "this file")

A judge is a file in ``judges/`` that defines the members of JudgeModule.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from edgefer import plugins
from edgefer.errors import UsageError

__all__ = ["JUDGES", "Cost", "Judge", "JudgeModule", "open_judge", "read_seconds"]

JUDGES = "edgefer.search.judges"


@dataclass(frozen=True)
class Cost:
    """Cost of one inference.

    Attributes:
        value: the cost, in the unit of the judge.
        device: what measured it.
        warnings: reasons against quoting the value, such as a throttled processor.
    """

    value: float
    device: str
    warnings: tuple[str, ...] = ()


class Judge(Protocol):
    """An open judge."""

    @property
    def unit(self) -> str:
        """Unit of the costs."""

    @property
    def description(self) -> str:
        """Short description of the measurement and its device."""

    @property
    def places(self) -> int:
        """Number of models that can be measured at the same time, such as the number of boards."""

    def check(self) -> None:
        """Check that the judge can measure, before a search.

        Raises:
            EdgeferError: a device does not answer, or a program is missing.
        """

    def measure(self, model: Path, *, place: int, stop: threading.Event) -> Cost:
        """Measure a .tflite with a contract.

        Args:
            model: the file.
            place: number of the board, or of another place, in 0..places-1; each measures one model at a time.
            stop: setting it ends the measurement with an error.

        Raises:
            DeviceUnreachable: the judge can measure no model; the search ends.
            EdgeferError: this model does not run there, or its measurement failed; the search continues.
        """


class JudgeModule(Protocol):
    """Members of a file in ``judges/``.

    Attributes:
        DESCRIPTION: what is measured, for the help of the command.
        OPTIONS: options of the judge and their meaning.
    """

    DESCRIPTION: str
    OPTIONS: Mapping[str, str]

    def open_judge(self, options: Mapping[str, str], devices: Sequence[str]) -> Judge:
        """Create a judge without starting anything.

        Args:
            options: values by name; the names are among OPTIONS.
            devices: names or addresses of devices.

        Raises:
            UsageError: an option is missing or invalid, or the judge measures on no device of that name.
        """


def read_seconds(options: Mapping[str, str], *, judge: str) -> float:
    """Return the option "seconds" of a judge, 3 by default.

    Raises:
        UsageError: it is not a finite number of 0 or more.
    """
    text = options.get("seconds", "3")
    if not text.replace(".", "", 1).isdecimal() or not math.isfinite(float(text)):
        hint = f"--judge {judge}:seconds=3"
        raise UsageError(f"--judge {judge}:seconds={text}", why="expected a finite number", hint=hint)
    return float(text)


def open_judge(name: str, *, options: Mapping[str, str], devices: Sequence[str]) -> Judge:
    """Create a judge.

    Raises:
        UsageError: no such judge, or an unknown, missing or invalid option.
    """
    module = cast("JudgeModule", plugins.load(JUDGES, name))
    for option in options:
        if option not in module.OPTIONS:
            why = f"expected {', '.join(module.OPTIONS)}" if module.OPTIONS else "it has no options"
            raise UsageError(f"the judge {name} has no option {option}", why=why, hint=f"--judge {name}")
    return module.open_judge(options, devices)
