"""Output of a command on a device.

    output = connection.run(["uname", "-m"])
    output.exit_code, output.stdout                 # 0, b"aarch64\n"
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CommandOutput"]


@dataclass(frozen=True)
class CommandOutput:
    """Output of a command on a device.

    Attributes:
        exit_code: exit code of the command; 128 plus the signal number if a signal ended it.
        stdout: bytes on its standard output.
        stderr: text on its standard error.
    """

    exit_code: int
    stdout: bytes
    stderr: str
