"""A board behind SSH, by the OpenSSH client: its config, agent, ProxyJump and known_hosts are the user's own.

Host keys are always checked, passwords are never asked for, and nothing is run with sudo. The steps of a bench share
one connection. $EDGEFER_SSH_CONFIG names another configuration file than ~/.ssh/config.
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
from edgefer.fleet.connection import CommandOutput, Stream, finish, started
from edgefer.fleet.registry import Device

__all__ = ["SshConnection", "connect"]

# A mute or frozen device is given up after ALIVE_S x ALIVE_TIMES seconds.
CONNECT_S, ALIVE_S, ALIVE_TIMES = 10, 5, 3
# ssh returns 255 for its own failures and for a remote command that a signal ended; so the remote shell says it itself.
MARK = "edgefer-exit-code:"
LOST = re.compile("lost connection|connection (closed|reset)|broken pipe|not responding|connection to .* closed", re.I)
# What ssh says, the sentence for it, and what mends it.
FAILURES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED|host key verification failed|no .* host key is known",
        "the host key of {name} is not the known one",
        "ssh {target} once, by hand; if the board was set up anew: ssh-keygen -R {host}",
    ),
    (
        "permission denied|too many authentication failures",
        "{name} refuses the login",
        "ssh-copy-id {target}",
    ),
    ("could not resolve hostname|name or service not known", "there is no host {host}", "its IP address in its place"),
    ("connection refused", "{name} has no SSH server running", "on the board: sudo raspi-config nonint do_ssh 0"),
    ("no route to host|network is unreachable", "there is no route to {name}", "ping {host}; is it on, and here?"),
    ("timed out|timeout", "{name} does not answer", "ping {host}; is it on, and in this network?"),
)  # fmt: skip


class SshConnection:
    """A Connection; every command is an ssh process."""

    def __init__(self, device: Device) -> None:
        self.name, self.python = device.name, device.python or "python3"
        self._target, self._port = _target(device.address)
        self._folder = tempfile.mkdtemp(prefix="edgefer-ssh-")

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """As Connection.run()."""
        wrapped = f"{shlex.join(arguments)}; echo {MARK}$? >&2"
        said = finish(self._command(wrapped), stdin=stdin, timeout_s=timeout_s, name=self.name)
        stderr, marked, code = said.stderr.rpartition(MARK)
        if not marked:
            raise self._failure(said.stderr)
        return CommandOutput(int(code.split()[0]), said.stdout, stderr)

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[Stream]:
        """As Connection.stream()."""
        with started(self._command(f"exec {shlex.join(arguments)}")) as stream:
            yield stream

    def close(self) -> None:
        """End the shared connection."""
        finish(self._command("", "-O", "exit"), stdin=b"", timeout_s=CONNECT_S, name=self.name)
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

    def _failure(self, stderr: str) -> DeviceUnreachable:
        said = " ".join(stderr.split())
        host = self._target.rpartition("@")[2]
        names = {"name": self.name, "host": host, "target": self._target}
        for pattern, what, hint in FAILURES:
            if re.search(pattern, said, re.I):
                return DeviceUnreachable(what.format(**names), why=said[-300:], hint=hint.format(**names))
        what = f"the connection to {self.name} was lost" if LOST.search(said) or not said else f"{self.name} failed"
        return DeviceUnreachable(what, why=said[-300:] or "ssh ended without a word", hint="the same again")


def connect(device: Device) -> SshConnection:
    """As ConnectionModule.connect().

    Raises:
        UsageError: the address is none, or there is no ssh here.
    """
    if shutil.which("ssh") is None:
        raise UsageError("there is no ssh here", why="boards are reached by the OpenSSH client",
                         hint="sudo apt install openssh-client")  # fmt: skip
    return SshConnection(device)


def _target(address: str) -> tuple[str, str]:
    """Of "pi@board:2222" the target "pi@board" and the port "2222"; a name of ssh's own configuration has no port."""
    target, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        target, port = address, ""
    # ssh would take it for an option.
    if not target or target.startswith("-") or any(letter.isspace() for letter in target):
        raise UsageError(f"no address: {address!r}", why="a name, user@host or user@host:port was expected",
                         hint="--device pi@raspberrypi.local")  # fmt: skip
    return target, port
