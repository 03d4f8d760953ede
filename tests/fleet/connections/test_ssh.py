"""Addresses; servers that refuse a connection, do not respond, or do not exist; and an SSH server on this machine."""

from __future__ import annotations

import errno
import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
    with pytest.raises(UsageError, match="shelf has the invalid address") as caught:
        connect(Device("shelf", address))
    assert caught.value.hint == "edgefer devices add shelf USER@HOST"


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


def test_the_configuration_of_the_user_cannot_replace_the_command(recorded: Path) -> None:
    with closing(connect(Device("shelf", "pi@board"))) as connection:
        connection.run(["true"])
        assert "RemoteCommand=none" in recorded.read_text().splitlines()


FAILING = """#!/bin/sh
case "$*" in *-G*) echo 'hostname board.lan'; echo 'port 2222'; exit 0;; esac
echo '{}' >&2
exit 255
"""


@pytest.mark.parametrize(
    ("address", "message", "hint"),
    [
        ("pi@board:2222", "Permission denied (publickey).", "ssh-copy-id -p 2222 pi@board"),
        ("pi@[fd00::1]:2222", "Permission denied (publickey).", "ssh-copy-id -p 2222 pi@fd00::1"),
        ("pi@board", "Host key verification failed.", "ssh-keygen -R '[board.lan]:2222'"),
        ("pi@board", "Idle timeout: 5 min.\nBe nice.\nPermission denied (publickey).", "ssh-copy-id pi@board"),
        ("pi@board:2222", "Host key verification failed.", "run ssh -F /dev/null -p 2222 pi@board once"),
    ],
)
def test_hints_have_the_port_and_the_name_in_known_hosts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, message: str, hint: str
) -> None:
    (tmp_path / "ssh").write_text(FAILING.format(message))
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert hint in error_message(address)


@pytest.mark.parametrize(
    ("rc", "message"),
    [
        ("exit 0", "ended with exit code 0 and without output"),
        ("echo This account is currently not available.; exit 1", "This account is currently not available."),
        ("exec git-shell -c", "did not run the command"),
    ],
)
def test_a_login_shell_that_does_not_run_commands_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rc: str, message: str
) -> None:
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nfor last; do :; done\n{rc}\nexec sh -c "$last"\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    text = error_message("pi@board")
    assert "the login shell of shelf did not run the command" in text
    assert message in text


SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH')}:/usr/sbin")


def is_listening(port: int) -> bool:
    with socket.socket(socket.AF_INET6) as client:
        return client.connect_ex(("::1", port)) == 0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Start an SSH server for the current user on ::1; return its address."""
    if SSHD is None:
        pytest.skip("sshd is not installed")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    keys = tmp_path / "authorized_keys"
    keys.write_bytes((tmp_path / "user.pub").read_bytes())
    servers: list[subprocess.Popen[bytes]] = []

    def start(login_shell: str = "", client: str = "") -> str:
        with socket.socket(socket.AF_INET6) as free:
            free.bind(("::1", 0))
            port = free.getsockname()[1]
        config = [
            f"ListenAddress [::1]:{port}", f"HostKey {tmp_path}/host", f"AuthorizedKeysFile {keys}", "StrictModes no",
            "PidFile none", "UsePAM no", "PermitRootLogin yes",
        ]  # fmt: skip
        if login_shell:
            config.append(f'ForceCommand {login_shell} "$SSH_ORIGINAL_COMMAND"')
        (tmp_path / "sshd_config").write_text("\n".join(config) + "\n")
        host_key = " ".join((tmp_path / "host.pub").read_text().split()[:2])
        (tmp_path / "known_hosts").write_text(f"[::1]:{port} {host_key}\n")
        client_config = f"IdentityFile {tmp_path}/user\nUserKnownHostsFile {tmp_path}/known_hosts\n{client}\n"
        (tmp_path / "ssh_config").write_text(client_config)
        monkeypatch.setenv("EDGEFER_SSH_CONFIG", str(tmp_path / "ssh_config"))
        Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
        servers.append(subprocess.Popen([SSHD, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.DEVNULL))
        end = time.monotonic() + 20
        while not is_listening(port):
            assert time.monotonic() < end
            time.sleep(0.05)
        return f"ssh://{getpass.getuser()}@[::1]:{port}"

    yield start
    for process in servers:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(
    ("login_shell", "client"),
    [("", ""), ("fish -c", ""), ("tcsh -f -c", ""), ("busybox ash -c", ""), ("", "RemoteCommand echo replaced")],
)
def test_commands_run_on_a_real_server(server, login_shell: str, client: str) -> None:
    if login_shell and shutil.which(login_shell.split()[0]) is None:
        pytest.skip(f"{login_shell.split()[0]} is not installed")
    with closing(connect(Device("shelf", server(login_shell, client)))) as connection:
        assert connection.run(["cat"], stdin=b"\x00\xff" * 10**5).stdout == b"\x00\xff" * 10**5
        output = connection.run(["sh", "-c", "echo out; echo wrong >&2; exit 7"])
        assert (output.exit_code, output.stdout, output.stderr) == (7, b"out\n", "wrong\n")
        with connection.stream(["cat"]) as stream:
            stream.stdin.write(b"line\n")
            stream.stdin.flush()
            assert next(stream.lines()) == b"line\n"


def test_a_temporary_folder_with_a_long_path_and_odd_characters_works(server, monkeypatch, tmp_path: Path) -> None:
    address = server()
    for name in ("two words%h", 'quote"d', "x" * 120):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        with closing(connect(Device("shelf", address))) as connection:
            assert connection.run(["echo", "yes"]).stdout == b"yes\n"
        assert not list((tmp_path / name).iterdir())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_the_shared_connection_and_the_remote_command(server, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    sleeper = tmp_path / "python"
    sleeper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 300\n")
    sleeper.chmod(0o755)
    address = server()
    environment = {**os.environ, "TMPDIR": str(folder), "EDGEFER_DEVICES": str(tmp_path / "devices.toml")}
    edgefer = [sys.executable, "-m", "edgefer", "devices"]
    add = [*edgefer, "add", "shelf", address, "--python", str(sleeper)]
    subprocess.run(add, env=environment, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*edgefer, "probe", "shelf"], env=environment, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130}[name]
    assert not list(folder.iterdir())
    sleeping = Path("/proc", (tmp_path / "pid").read_text().strip())
    end = time.monotonic() + 10
    while sleeping.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in arguments if str(folder).encode() in line]
