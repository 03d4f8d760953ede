"""Frame the output of a remote command, so that any login shell, greeting and rc file can surround it.

    frame = Frame()
    frame.remote_command                            # the one command line that ssh runs
    frame.first_line(["python3", "probe.py"])       # the command itself, the first line on its standard input
    frame.split(stdout)                             # Output(payload, exit_code), or None

sshd passes a command line to the user's login shell: bash, fish, csh or a restricted shell, after an rc file that may
print, redirect stderr, change the umask or exit. The command line is therefore constant text that all shells parse
alike: ``sh -c '...'`` without newlines, backslashes, exclamation marks or inner single quotes. The POSIX shell prints a
mark, reads the command from its standard input, and reports the exit code behind a second mark.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgefer.child_start import PACKAGE_PATH

__all__ = ["Frame", "Output"]

# An rc file may have closed stderr, set options in $SHELLOPTS, or put the home folder on $PYTHONPATH; see
# edgefer.child_start. LC_ALL=C gives English messages, and Python then uses UTF-8.
# PYTHONINSPECT would keep Python running, PYTHONIOENCODING may be UTF-16.
PYTHON_VARIABLES = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS",
    "PYTHONOPTIMIZE", "PYTHONVERBOSE", "PYTHONDEBUG", "PYTHONPLATLIBDIR", "PYTHONPROFILEIMPORTTIME",
)  # fmt: skip
PREPARE = (
    "set +eu; (true >&2) || exec 2>/dev/null; umask 077; LC_ALL=C; "
    f'{PACKAGE_PATH}="$PYTHONPATH"; export LC_ALL {PACKAGE_PATH}; unset {" ".join(PYTHON_VARIABLES)}; '
)
# The line is read byte by byte, so what follows it is left for the command.
RECEIVE = 'read -r c; eval "$(printf %b "$c")"'
# Without input, an end of the connection kills the command. A killed shell would leave its cat behind, which ends
# when stdin closes.
WATCHED = (
    "exec 3<&0; ({command}) </dev/null 3<&- & p=$!; "
    "(exec >/dev/null 2>&1; cat <&3; kill $p) & w=$!; exec 3<&-; wait $p; s=$?; {report}; kill $w 2>/dev/null"
)
WITH_INPUT = "({command}); s=$?; {report}"


@dataclass(frozen=True)
class Output:
    """Output of a framed command.

    Attributes:
        payload: bytes between the marks.
        exit_code: exit code, or None if it was not reported.
    """

    payload: bytes
    exit_code: int | None


@dataclass(frozen=True)
class Frame:
    """The marks of one command.

    Attributes:
        token: random text, so that a greeting never contains the marks by accident.
    """

    token: str = field(default_factory=lambda: f"edgefer-{secrets.token_hex(8)}")

    @property
    def begin(self) -> bytes:
        """Mark before the output, with its newline."""
        return f"{self.token}-begin\n".encode()

    @property
    def end(self) -> bytes:
        """Mark after the output; the exit code and a newline follow it."""
        return f"{self.token}-end:".encode()

    @property
    def remote_command(self) -> str:
        """Command line for the login shell."""
        return f"sh -c '{PREPARE}echo {self.token}-begin; echo {self.token}-begin >&2; {RECEIVE}'"

    def first_line(self, arguments: Sequence[str], *, has_input: bool = False) -> bytes:
        """Encode a command that reports its exit code.

        Args:
            arguments: program and arguments; the shell does not interpret them. The program may begin with "~/".
            has_input: True if the command reads the standard input that follows.
        """
        template = WITH_INPUT if has_input else WATCHED
        report = f"echo {self.token}-end:$s; echo {self.token}-end:$s >&2"
        return _encode(template.format(command=f"exec {_shell_command(arguments)}", report=report))

    def stream_line(self, arguments: Sequence[str]) -> bytes:
        """Encode a command that replaces the shell, for a stream in both directions."""
        return _encode(f"exec {_shell_command(arguments)}")

    def split(self, output: bytes) -> Output | None:
        """Find the payload in the output of the connection; None if the command did not start."""
        _, begin, payload = output.partition(self.begin)
        if not begin:
            return None
        before, end, after = payload.rpartition(self.end)
        code = after.partition(b"\n")[0]
        if not end or not code.isdigit():
            return Output(payload, None)
        return Output(before, int(code))


def _shell_command(arguments: Sequence[str]) -> str:
    """Quote a command for a shell, except the home folder in front of the program."""
    program = arguments[0]
    if program.startswith("~/"):
        return f'"$HOME"{shlex.join([program[1:], *arguments[1:]])}'
    return shlex.join(arguments)


def _encode(script: str) -> bytes:
    """Encode a script as one line for the %b format of printf."""
    escaped = script.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.encode("utf-8", "surrogateescape") + b"\n"
