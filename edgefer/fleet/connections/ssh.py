"""Connection to a board over SSH with the OpenSSH client and the user's own configuration, agent and known hosts.

Host keys are always checked, passwords are never prompted for, and nothing runs with sudo. All commands of a benchmark
share one connection. $EDGEFER_SSH_CONFIG names a configuration file other than ~/.ssh/config.

Every command goes through edgefer.fleet.framing, so it works with any login shell and rc file on the board.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.fleet.addresses import Address, parse_address
from edgefer.fleet.command_output import CommandOutput
from edgefer.fleet.framing import Frame
from edgefer.fleet.local_process import Ended, Stream, run_process, start_process
from edgefer.fleet.registry import Device

__all__ = ["SshConnection", "connect"]

# A connection without a reply is closed after ALIVE_S x ALIVE_TIMES seconds.
CONNECT_S, ALIVE_S, ALIVE_TIMES = 10, 5, 3
SSH_FAILURE = 255
# The path of a Unix socket has at most 107 bytes; the private folder and ssh itself add 40 to the temporary folder.
MAX_FOLDER_LENGTH = 64
MESSAGE_CHARACTERS = 300
# Options that would change what ssh runs, and the version of OpenSSH that introduced them.
COMMAND_OPTIONS = {
    (0, 0): {
        "RemoteCommand": "none", "PermitLocalCommand": "no", "ClearAllForwardings": "yes", "ForwardX11": "no",
        "LogLevel": "INFO",
    },
    (8, 7): {"SessionType": "default", "StdinNull": "no", "ForkAfterAuthentication": "no"},
}  # fmt: skip
LOST = re.compile("lost connection|connection (closed|reset)|broken pipe|not responding|connection to .* closed", re.I)
# Patterns in the messages of ssh, each with an error message and a hint.
FAILURES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED|host key verification failed|no .* host key is known",
        "the host key of {name} does not match the known hosts",
        "run {ssh} once by hand; if the board was reinstalled: ssh-keygen -R {known_hosts_name}",
    ),
    (
        "permission denied|too many authentication failures",
        "{name} refused the login",
        "ssh-copy-id {arguments}",
    ),
    ("could not resolve hostname|name or service not known", "the host {host} does not exist", "use its IP address"),
    ("connection refused", "{name} runs no SSH server", "on the board: sudo raspi-config nonint do_ssh 0"),
    (
        "no route to host|network is unreachable",
        "there is no route to {name}",
        "check its power and its network: ping {host}",
    ),
    ("timed out|timeout", "{name} does not answer", "check its power and its network: ping {host}"),
)  # fmt: skip


class SshConnection:
    """A Connection whose commands are ssh processes."""

    def __init__(self, device: Device, *, stop: threading.Event | None = None) -> None:
        self.name, self.python = device.name, device.python or "python3"
        self._address, self._stop = _address_of(device), stop or threading.Event()
        temporary = tempfile.gettempdir()
        self._folder = tempfile.mkdtemp(prefix="edgefer-ssh-", dir="/tmp" if _is_too_long(temporary) else None)

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """Run a command on the board and wait for it; without ``stdin``, its standard input is empty.

        Raises:
            DeviceUnreachable: the board does not answer, or not within ``timeout_s`` seconds; the login shell did not
                run the command; or the connection was stopped.
            DataError: the output is too long.
        """
        frame = Frame()
        ended = run_process(
            self._command(frame.remote_command), name=self.name, stdin=stdin, timeout_s=timeout_s, stop=self._stop,
            frame=frame, first_line=frame.first_line(arguments, has_input=bool(stdin)),
        )  # fmt: skip
        output = frame.split(ended.stdout)
        if output is None:
            raise self._describe_failure(ended)
        if output.exit_code is None:
            raise self._connection_lost(_printable(ended.stderr.rpartition(frame.begin)[2]))
        # Without a frame on stderr, the login shell has discarded it.
        stderr = frame.split(ended.stderr)
        text = stderr.payload.decode(errors="replace") if stderr else ""
        return CommandOutput(output.exit_code, output.payload, text)

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[Stream]:
        """Start a command on the board; leaving the block ends it.

        If the board does not answer, the stream is empty.
        """
        frame = Frame()
        with start_process(
            self._command(frame.remote_command), frame=frame, first_line=frame.stream_line(arguments), stop=self._stop
        ) as stream:
            yield stream

    def close(self) -> None:
        """Close the shared connection."""
        with contextlib.suppress(DeviceUnreachable):
            run_process(self._command("", "-O", "exit"), name=self.name, timeout_s=CONNECT_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self, remote: str, *options: str) -> list[str]:
        path = str(Path(self._folder, "m")).replace("%", "%%")
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_S,
            "ServerAliveInterval": ALIVE_S,
            "ServerAliveCountMax": ALIVE_TIMES,
            "ControlMaster": "auto",
            "ControlPath": f'"{path}"',
            "ControlPersist": 60,
        }
        for version, values in COMMAND_OPTIONS.items():
            if version <= _openssh_version(shutil.which("ssh")):
                settings.update(values)
        return [
            "ssh", "-T", *_config(),
            *(part for name, value in settings.items() for part in ("-o", f"{name}={value}")),
            *(["-p", self._address.port] if self._address.port else []),
            *options, "--", self._address.target,
            *([remote] if remote else []),
        ]  # fmt: skip

    def _describe_failure(self, ended: Ended) -> DeviceUnreachable:
        """Return the error for a command that the login shell has not started."""
        message = _printable(ended.stderr)
        if ended.exit_code not in (SSH_FAILURE, -15, -9):
            shell = " ".join(filter(None, (_printable(ended.stdout), message)))
            return DeviceUnreachable(
                f"the login shell of {self.name} did not run the command",
                why=shell[-MESSAGE_CHARACTERS:] or f"it ended with exit code {ended.exit_code} and without output",
                hint=f"check the shell and its rc file there: {self._ssh()}",
            )
        # The banner of a server comes before the message of ssh.
        last_lines = _printable(b"\n".join(ended.stderr.splitlines()[-2:]))
        for text, (pattern, what, hint) in itertools.product((last_lines, message), FAILURES):
            if re.search(pattern, text, re.I):
                address = self._address
                names = {
                    "name": self.name, "host": address.host, "ssh": self._ssh(), "arguments": address.arguments,
                    "known_hosts_name": shlex.quote(self._known_hosts_name()) if "{known" in hint else "",
                }  # fmt: skip
                why = message[-MESSAGE_CHARACTERS:]
                return DeviceUnreachable(what.format(**names), why=why, hint=hint.format(**names))
        return self._connection_lost(message)

    def _connection_lost(self, message: str) -> DeviceUnreachable:
        is_lost = LOST.search(message) or not message
        what = f"the connection to {self.name} was lost" if is_lost else f"ssh to {self.name} failed"
        why = message[-MESSAGE_CHARACTERS:] or "ssh ended without an error message"
        return DeviceUnreachable(what, why=why, hint="run the same command again")

    def _ssh(self) -> str:
        return " ".join(["ssh", *map(shlex.quote, _config()), self._address.arguments])

    def _known_hosts_name(self) -> str:
        """Return the name of the host in known_hosts; the SSH configuration may map the address to another one."""
        command = ["ssh", *_config(), "-G", *shlex.split(self._address.arguments)]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=CONNECT_S, check=True,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return self._address.known_hosts_name
        values = dict(line.partition(" ")[::2] for line in ended.stdout.splitlines())
        if values.get("hostkeyalias", "none") != "none":
            return values["hostkeyalias"]
        host, port = values.get("hostname"), values.get("port")
        return Address("", host, port).known_hosts_name if host and port else self._address.known_hosts_name


def connect(device: Device, *, stop: threading.Event | None = None) -> SshConnection:
    """Create a connection to a board.

    Raises:
        UsageError: the address is invalid, or ssh is not installed on this machine.
    """
    if shutil.which("ssh") is None:
        why, hint = "boards are reached with the OpenSSH client", "sudo apt install openssh-client"
        raise UsageError("ssh is not installed", why=why, hint=hint)
    return SshConnection(device, stop=stop)


def _config() -> list[str]:
    path = os.environ.get("EDGEFER_SSH_CONFIG")
    return ["-F", path] if path else []


def _address_of(device: Device) -> Address:
    """Parse the address of a device, and name the device in the error."""
    try:
        return parse_address(device.address)
    except UsageError as error:
        if device.name == device.address:
            raise
        hint = f"edgefer devices add {device.name} USER@HOST"
        raise UsageError(f"{device.name} has the {error.what}", why=error.why, hint=hint) from error


def _is_too_long(folder: str) -> bool:
    return len(os.fsencode(folder)) > MAX_FOLDER_LENGTH or '"' in folder


@functools.lru_cache
def _openssh_version(program: str | None) -> tuple[int, int]:
    """Return the version of the OpenSSH client, such as (9, 2); (0, 0) if unknown."""
    try:
        ended = subprocess.run(
            [program or "ssh", "-V"], capture_output=True, text=True, errors="replace", timeout=CONNECT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return 0, 0
    match = re.search(r"OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)", ended.stderr)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _printable(output: bytes) -> str:
    """Return text on one line without control characters."""
    words = output.decode(errors="replace").split()
    return " ".join("".join(letter for letter in word if letter.isprintable()) for word in words)
