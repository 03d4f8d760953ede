"""Addresses, and servers that refuse a connection, do not respond, or do not exist; no board is needed."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.fleet.connections.ssh import connect
from edgefer.fleet.registry import Device

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", "/dev/null")


def error_message(address: str) -> str:
    with closing(connect(Device("shelf", address))) as connection, pytest.raises(DeviceUnreachable) as caught:
        connection.run(["true"], timeout_s=40)
    return str(caught.value)


def test_closed_port_means_no_ssh_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "runs no SSH server" in error_message(f"pi@127.0.0.1:{port}")


def test_silent_server_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        message = error_message(f"pi@127.0.0.1:{silent.getsockname()[1]}")
    assert "does not answer" in message


def test_unreachable_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # An address reserved for documentation (RFC 3849).
    unused = "2001:db8::1"
    with socket.socket(socket.AF_INET6) as probe:
        probe.settimeout(6)
        try:
            probe.connect((unused, 22))
        except OSError as error:
            if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                pytest.skip(f"the network is reachable here: {error}")
    config = tmp_path / "config"
    config.write_text(f"Host far\n  HostName {unused}\n")
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", str(config))
    assert "there is no route to shelf" in error_message("pi@far")


def test_unknown_host_name() -> None:
    message = error_message("pi@no-such-board.invalid")
    assert "no-such-board.invalid" in message
    assert "try:" in message


@pytest.mark.parametrize("address", ["", "-oProxyCommand=touch /tmp/x", "pi@two words", "--", ":22"])
def test_invalid_address_is_refused_before_ssh_starts(address: str) -> None:
    with pytest.raises(UsageError, match="invalid address"):
        connect(Device("shelf", address))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Replace ssh by a script that records its arguments and runs the last one in a local shell."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    record = f'printf "%s\\n" "$@" > {tmp_path}/arguments'
    program.write_text(f'#!/bin/sh\n{record}\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return tmp_path / "arguments"


def test_arguments_are_quoted_and_host_keys_are_always_checked(recorded: Path) -> None:
    odd = ["printf", "%s|", "two words", "$HOME", "`id`", "a;b", "'", '"', "*", ""]
    connection = connect(Device("shelf", "pi@board:2222"))
    output = connection.run(odd)
    assert output.stdout.decode() == "|".join([*odd[2:], ""])
    arguments = recorded.read_text().splitlines()
    assert "BatchMode=yes" in arguments
    assert arguments[arguments.index("-p") + 1] == "2222"
    assert arguments[arguments.index("--") + 1] == "pi@board"
    assert "StrictHostKeyChecking" not in " ".join(arguments)


def test_exit_codes_and_signals_are_those_of_the_command(recorded: Path) -> None:
    connection = connect(Device("shelf", "pi@board"))
    assert connection.run(["sh", "-c", "exit 255"]).exit_code == 255
    assert connection.run(["sh", "-c", "kill -SEGV $$"]).exit_code == 139
    assert connection.run(["sh", "-c", "echo wrong >&2; exit 3"]).stderr == "wrong\n"
    assert connection.run(["cat"], stdin=b"\x00\xff").stdout == b"\x00\xff"
