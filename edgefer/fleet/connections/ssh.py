"""Connection to a board over SSH with the OpenSSH client and the user's own configuration, agent and known hosts.

Host keys are always checked, passwords are never prompted for, and nothing runs with sudo. All commands of a benchmark
share one connection. $EDGEFER_SSH_CONFIG names a configuration file other than ~/.ssh/config.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence

from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.fleet.connection import CommandOutput, Stream, run_process, start_process
from edgefer.fleet.registry import Device

__all__ = ["SshConnection", "connect"]

# A connection without a reply is closed after ALIVE_S x ALIVE_TIMES seconds.
CONNECT_S, ALIVE_S, ALIVE_TIMES = 10, 5, 3
# ssh returns 255 for its own failures and for remote commands ended by a signal. The remote shell therefore reports the
# exit code itself.
MARK = "edgefer-exit-code:"
LOST = re.compile("lost connection|connection (closed|reset)|broken pipe|not responding|connection to .* closed", re.I)
# Patterns in the messages of ssh, each with an error message and a hint.
FAILURES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED|host key verification failed|no .* host key is known",
        "the host key of {name} does not match the known hosts",
        "run ssh {target} once by hand; if the board was reinstalled: ssh-keygen -R {host}",
    ),
    (
        "permission denied|too many authentication failures",
        "{name} refused the login",
        "ssh-copy-id {target}",
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

    def __init__(self, device: Device) -> None:
        self.name, self.python = device.name, device.python or "python3"
        self._target, self._port = _target(device.address)
        self._folder = tempfile.mkdtemp(prefix="edgefer-ssh-")

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """Run a command on the board and wait for it.

        Raises:
            DeviceUnreachable: the board does not answer, or not within ``timeout_s`` seconds.
        """
        wrapped = f"{shlex.join(arguments)}; echo {MARK}$? >&2"
        output = run_process(self._command(wrapped), stdin=stdin, timeout_s=timeout_s, name=self.name)
        stderr, mark, exit_code = output.stderr.rpartition(MARK)
        if not mark:
            raise self._describe_failure(output.stderr)
        return CommandOutput(int(exit_code.split()[0]), output.stdout, stderr)

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[Stream]:
        """Start a command on the board; leaving the block ends it."""
        with start_process(self._command(f"exec {shlex.join(arguments)}")) as stream:
            yield stream

    def close(self) -> None:
        """Close the shared connection."""
        run_process(self._command("", "-O", "exit"), stdin=b"", timeout_s=CONNECT_S, name=self.name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self, remote: str, *options: str) -> list[str]:
        config = os.environ.get("EDGEFER_SSH_CONFIG")
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_S,
            "ServerAliveInterval": ALIVE_S,
            "ServerAliveCountMax": ALIVE_TIMES,
            "ControlMaster": "auto",
            "ControlPath": f"{self._folder}/%C",
            "ControlPersist": 60,
        }
        return [
            "ssh", "-T",
            *(["-F", config] if config else []),
            *(part for name, value in settings.items() for part in ("-o", f"{name}={value}")),
            *(["-p", self._port] if self._port else []),
            *options, "--", self._target,
            *([remote] if remote else []),
        ]  # fmt: skip

    def _describe_failure(self, stderr: str) -> DeviceUnreachable:
        message = " ".join(stderr.split())
        host = self._target.rpartition("@")[2]
        names = {"name": self.name, "host": host, "target": self._target}
        for pattern, what, hint in FAILURES:
            if re.search(pattern, message, re.I):
                return DeviceUnreachable(what.format(**names), why=message[-300:], hint=hint.format(**names))
        is_lost = LOST.search(message) or not message
        what = f"the connection to {self.name} was lost" if is_lost else f"ssh to {self.name} failed"
        why = message[-300:] or "ssh ended without an error message"
        return DeviceUnreachable(what, why=why, hint="run the same command again")


def connect(device: Device) -> SshConnection:
    """Create a connection to a board.

    Raises:
        UsageError: the address is invalid, or ssh is not installed on this machine.
    """
    if shutil.which("ssh") is None:
        why, hint = "boards are reached with the OpenSSH client", "sudo apt install openssh-client"
        raise UsageError("ssh is not installed", why=why, hint=hint)
    return SshConnection(device)


def _target(address: str) -> tuple[str, str]:
    """Split "pi@board:2222" into "pi@board" and "2222"; a host name from the SSH configuration has no port."""
    target, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        target, port = address, ""
    # ssh would parse a leading hyphen as an option.
    if not target or target.startswith("-") or any(letter.isspace() for letter in target):
        why = "expected a host name, user@host or user@host:port"
        raise UsageError(f"invalid address {address!r}", why=why, hint="--device pi@raspberrypi.local")
    return target, port
