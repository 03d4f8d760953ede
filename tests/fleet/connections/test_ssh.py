"""What needs no board: addresses, and servers that refuse, are mute, or do not exist."""

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

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", "/dev/null")


def said_of(address: str) -> str:
    with closing(connect(Device("shelf", address))) as connection, pytest.raises(DeviceUnreachable) as caught:
        connection.run(["true"], timeout_s=40)
    return str(caught.value)


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "has no SSH server running" in said_of(f"pi@127.0.0.1:{port}")


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        said = said_of(f"pi@127.0.0.1:{mute.getsockname()[1]}")
    assert "does not answer" in said


def test_a_network_to_which_nothing_leads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # An address for documentation (RFC 3849), which nobody has.
    nobody = "2001:db8::1"
    with socket.socket(socket.AF_INET6) as probe:
        probe.settimeout(6)
        try:
            probe.connect((nobody, 22))
        except OSError as error:
            if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                pytest.skip(f"here it is not unreachable: {error}")
    config = tmp_path / "config"
    config.write_text(f"Host far\n  HostName {nobody}\n")
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", str(config))
    assert "there is no route to shelf" in said_of("pi@far")


def test_a_name_that_does_not_exist() -> None:
    said = said_of("pi@no-such-board.invalid")
    assert "no-such-board.invalid" in said
    assert "try:" in said


@pytest.mark.parametrize("address", ["", "-oProxyCommand=touch /tmp/x", "pi@two words", "--", ":22"])
def test_what_is_no_address_is_refused_before_ssh_sees_it(address: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        connect(Device("shelf", address))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An ssh that writes down its arguments and runs the last of them in a shell of this machine."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    written = f'printf "%s\\n" "$@" > {tmp_path}/arguments'
    program.write_text(f'#!/bin/sh\n{written}\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return tmp_path / "arguments"


def test_arguments_arrive_as_they_are_and_options_never_relax_host_keys(recorded: Path) -> None:
    odd = ["printf", "%s|", "two words", "$HOME", "`id`", "a;b", "'", '"', "*", ""]
    connection = connect(Device("shelf", "pi@board:2222"))
    said = connection.run(odd)
    assert said.stdout.decode() == "|".join([*odd[2:], ""])
    arguments = recorded.read_text().splitlines()
    assert "BatchMode=yes" in arguments
    assert arguments[arguments.index("-p") + 1] == "2222"
    assert arguments[arguments.index("--") + 1] == "pi@board"
    assert "StrictHostKeyChecking" not in " ".join(arguments)


def test_exit_codes_and_signals_are_the_commands_own(recorded: Path) -> None:
    connection = connect(Device("shelf", "pi@board"))
    assert connection.run(["sh", "-c", "exit 255"]).exit_code == 255
    assert connection.run(["sh", "-c", "kill -SEGV $$"]).exit_code == 139
    assert connection.run(["sh", "-c", "echo wrong >&2; exit 3"]).stderr == "wrong\n"
    assert connection.run(["cat"], stdin=b"\x00\xff").stdout == b"\x00\xff"
