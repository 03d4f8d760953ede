"""Errors that a user can fix, each with a stable exit code for shell scripts.

An error states what failed, with the value; what was expected; and the command or flag that fixes it.

    raise DataError("fer2013.csv has no Training rows", why="its Usage column holds only 'PublicTest'",
                    hint="edgefer data check fer2013.csv")
"""

from __future__ import annotations

from edgefer.escaping import printable

__all__ = [
    "DataError",
    "DeviceUnreachable",
    "EdgeferError",
    "IncompatibleError",
    "Interrupted",
    "MeasurementInvalid",
    "OutputError",
    "ThresholdNotMet",
    "UsageError",
]


class EdgeferError(Exception):
    """Base class of the errors that edgefer raises on purpose.

    Attributes:
        what: one clause: what failed, with the offending value.
        why: the expected value, or the cause; may be empty.
        hint: the command or flag that fixes it, as the user would type it; may be empty.
        exit_code: exit code of the process if the error is not caught.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint

    def __str__(self) -> str:
        # A reason may be a message of several lines from a library. Names in it may also contain line breaks.
        text = printable(self.what, kept="")
        text += f": {printable(' '.join(self.why.split()), kept='')}" if self.why else ""
        return f"{text}\n  try: {printable(self.hint, kept='')}" if self.hint else text


class DataError(EdgeferError):
    """An unusable file or data set."""


class UsageError(EdgeferError):
    """An invalid command line or setting."""

    exit_code = 2


class ThresholdNotMet(EdgeferError):
    """A result below a threshold that the user set; the result is still written."""

    exit_code = 3


class DeviceUnreachable(EdgeferError):
    """A board or a camera without a response."""

    exit_code = 4


class IncompatibleError(EdgeferError):
    """A model that the installed runtime cannot run, or whose outputs differ from its golden vectors."""

    exit_code = 5


class MeasurementInvalid(EdgeferError):
    """A completed but unreliable measurement."""

    exit_code = 6


class OutputError(EdgeferError):
    """A result that was printed but could not be written to its file."""

    exit_code = 7


class Interrupted(EdgeferError):
    """An interruption after a part of the result was complete; that part is still written."""

    exit_code = 130

    @classmethod
    def from_exception(cls, interrupt: KeyboardInterrupt) -> Interrupted:
        """Return the error with the exit code of the signal."""
        error = cls(str(interrupt) or "interrupted")
        error.exit_code = getattr(interrupt, "exit_code", cls.exit_code)
        return error
