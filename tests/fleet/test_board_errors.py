"""Each failure of a command on a board has the fix that its exit code and messages require."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edgefer.errors import EdgeferError, IncompatibleError
from edgefer.fleet.board_errors import describe_failure
from edgefer.fleet.command_output import CommandOutput
from edgefer.fleet.connection import connect
from edgefer.fleet.probe import Facts, Interpreter, probe
from edgefer.fleet.provisioning import provision
from edgefer.fleet.registry import Device
from edgefer.fleet.remote_benchmark import RemoteBenchmark, run_remote_benchmark
from edgefer.fleet.upload import upload
from edgefer.models import shipped
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan

HERE = Device("pi4", kind="local", python=sys.executable)
FOLDER = "/home/pi/.local/share/edgefer/venv-litert"


def failure(stderr: str, exit_code: int = 1, python: str = "python3", folder: str = FOLDER) -> EdgeferError:
    output = CommandOutput(exit_code, b"", stderr)
    return describe_failure("failed", output, device="pi4", python=python, folder=folder, hint="the fallback")


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("The virtual environment was not created\n    apt install python3.11-venv\n", "apt install python3.11-venv"),
        ("/usr/bin/python3: No module named ensurepip", "apt install python3-venv"),
        ("Error: [Errno 30] Read-only file system: '/home/pi/.local'", "mount -o remount,rw $(stat -c %m /home/pi)"),
        (f"Error: [Errno 13] Permission denied: '{FOLDER}'", 'chown -R "$USER" /home/pi/.local/share/edgefer'),
        ("Error: [Errno 20] Not a directory: '/home/pi/.local'", "rename the file in place of a folder"),
        ("ERROR: [Errno 28] No space left on device\n", "edgefer devices clean pi4"),
        ("[Errno 122] Disk quota exceeded: '/home/pi/x'", "edgefer devices clean pi4"),
        ("SSL: CERTIFICATE_VERIFY_FAILED", "timedatectl set-ntp true"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/share/other'", "the fallback"),
        ("something else", "the fallback"),
        ("", "the fallback"),
    ],
)
def test_the_hint_follows_from_the_message(stderr: str, hint: str) -> None:
    error = failure(stderr)
    assert hint in error.hint
    assert error.why
    assert "python3-venv" not in error.hint or "ensurepip" in stderr


@pytest.mark.parametrize(
    ("exit_code", "why", "hint"),
    [
        (137, "memory ran out", "free -m"),
        (132, "newer processor", "--python"),
        (139, "SIGSEGV", "--python"),
        (126, "", "sudo apt install python3"),
        (127, "", "sudo apt install python3"),
    ],
)
def test_the_hint_follows_from_the_exit_code(exit_code: int, why: str, hint: str) -> None:
    error = failure("Permission denied", exit_code)
    assert why in error.why
    assert hint in error.hint


@pytest.mark.parametrize(
    ("python", "hint"),
    [
        ("/opt/python3.11", "--python PATH"),
        (f"{FOLDER}/bin/python", "edgefer devices clean pi4 --all"),
        (f"{Path.home()}/venv/bin/python", "--python '~/venv/bin/python'"),
    ],
)
def test_a_missing_interpreter_is_not_a_missing_package(python: str, hint: str) -> None:
    error = failure("sh: 1: exec: not found", 127, python)
    assert python in error.what
    assert hint in error.hint
    assert "apt install" not in error.hint


def test_an_environment_in_an_unusable_folder_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/proc")
    with closing(connect(HERE)) as connection:
        facts = probe(connection)
        with pytest.raises(EdgeferError, match="cannot create an environment") as caught:
            provision(connection, facts, runtime="litert", device="pi4")
    assert "$XDG_DATA_HOME" in caught.value.hint
    assert "apt install" not in caught.value.hint


def test_an_upload_to_an_unusable_folder_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    with closing(connect(HERE)) as connection, pytest.raises(EdgeferError, match="cannot store the upload") as caught:
        upload(connection, b"x", "x")
    assert "$XDG_CACHE_HOME" in caught.value.hint


PIP = """#!/bin/sh
case "$*" in
*"pip --disable"*) echo "{message}" >&2; exit 1;;
*venv*) mkdir -p {folder}/bin; cp "$0" {folder}/bin/python;;
esac
"""


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("NewConnectionError('Temporary failure in name resolution')", "setup pi4 --runtime litert --offline"),
        ("ERROR: No matching distribution found for numpy", "--wheels FOLDER, with a wheel of numpy"),
        ("ERROR: [Errno 28] No space left on device", "df -h"),
        ("ERROR: an unknown failure", "on the board, for the complete output: "),
    ],
)
def test_a_failed_installation_has_the_hint_of_its_cause(tmp_path: Path, message: str, hint: str) -> None:
    data = tmp_path / "edgefer"
    program = tmp_path / "python"
    program.write_text(PIP.format(message=message, folder=data / "venv-litert"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    interpreter = Interpreter(str(program), (3, 11, 2), None, None, None, None)
    facts = Facts(
        None, "x86_64", 1, 2**30, False, None, "glibc 2.36", 2**30, "", str(data), (interpreter,), python=(3, 11, 2)
    )
    device = Device("pi4", kind="local", python=str(program))
    with closing(connect(device)) as connection, pytest.raises(EdgeferError, match="cannot install litert") as caught:
        provision(connection, facts, runtime="litert", device="pi4")
    assert hint in caught.value.hint


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_a_tilde_in_the_path_of_the_interpreter_is_the_home_folder_of_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    link = tmp_path / "my venv/python"
    link.parent.mkdir()
    link.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    link.chmod(0o755)
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(ssh.parent), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(tmp_path))
    device = Device("pi4", "pi@board", kind=kind, python="~/my venv/python")
    with closing(connect(device)) as connection:
        facts = probe(connection, [device.python])
    assert facts.interpreters[0].path == str(link)
    assert facts.interpreters[0].python == sys.version_info[:3]


def test_a_benchmark_whose_process_is_killed_reports_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *.pyz*) echo loading >&2; kill -KILL $$;; esac\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    model = shipped()["nano"]
    benchmark = RemoteBenchmark(BenchmarkPlan((BenchmarkCase(str(model)),), runs=10, seconds=0.0))
    outcome = run_remote_benchmark(Device("pi4", kind="local", python=str(program)), benchmark)
    assert outcome.error is not None
    assert "memory" in outcome.error.why
    assert "free -m" in outcome.error.hint


def test_a_missing_program_of_this_machine_has_the_same_error() -> None:
    connection = connect(Device("local", kind="local", python="/no/python"))
    with closing(connection), pytest.raises(IncompatibleError, match="local has no /no/python") as caught:
        probe(connection)
    assert "--python PATH" in caught.value.hint
