"""The errors that edgefer raises on purpose, each with the exit code that a shell script can rely on.

Raise the kind that fits, and say three things: what happened, why, and the one command or flag that mends it.

    raise DataError("fer2013.csv has no Training rows", why="its Usage column holds only 'PublicTest'",
                    hint="edgefer data check fer2013.csv")
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "DeviceUnreachable",
    "EdgeferError",
    "IncompatibleError",
    "MeasurementInvalid",
    "ThresholdNotMet",
    "UsageError",
]


class EdgeferError(Exception):
    """A failure that the user can understand and mend.

    Attributes:
        what: one clause saying what failed, with the value that came.
        why: what was expected instead, or the cause as far as it is known.
        hint: the command or flag that fixes it, as the user would type it.
        exit_code: what the process ends with when nobody catches the error.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        return f"{text}\n  try: {self.hint}" if self.hint else text


class DataError(EdgeferError):
    """A file or a data set cannot be used as it is."""


class UsageError(EdgeferError):
    """The command line or a setting asks for something that does not exist."""

    exit_code = 2


class ThresholdNotMet(EdgeferError):
    """A result is worse than the bound that the user set; the result itself is kept."""

    exit_code = 3


class DeviceUnreachable(EdgeferError):
    """A device does not answer: a board that should run a bench, or a camera."""

    exit_code = 4


class IncompatibleError(EdgeferError):
    """A model and the runtime at hand do not fit, or a model computes here something else than when it was made."""

    exit_code = 5


class MeasurementInvalid(EdgeferError):
    """A measurement was taken but must not be believed."""

    exit_code = 6
