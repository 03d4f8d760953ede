"""Framed commands in every login shell that is installed here, with rc files that print, redirect and exit."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from edgefer.fleet.framing import Frame, Output
from edgefer.fleet.local_process import run_process

SHELLS = {
    "sh": ["sh", "-c"], "bash": ["bash", "-c"], "restricted": ["bash", "-r", "-c"], "xtrace": ["bash", "-x", "-c"],
    "dash": ["dash", "-c"], "ash": ["busybox", "ash", "-c"], "zsh": ["zsh", "-c"], "fish": ["fish", "-c"],
    "csh": ["tcsh", "-f", "-c"],
}  # fmt: skip
ODD = ["two words", "$HOME", "`id`", "a;b", "'", '"', "*", "", "a\nb", "\\n", "\\", "!x", "%d", "ü", "-e", "#"]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    command = SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return command


def run(command: list[str], arguments: list[str], stdin: bytes = b"") -> tuple[Output | None, Output | None]:
    frame = Frame()
    ended = run_process(
        [*command, frame.remote_command], name="shelf", stdin=stdin, timeout_s=60, frame=frame,
        first_line=frame.first_line(arguments, has_input=bool(stdin)),
    )  # fmt: skip
    return frame.split(ended.stdout), frame.split(ended.stderr)


def test_arguments_and_output_are_unchanged(shell: list[str]) -> None:
    output, errors = run(shell, ["printf", "%s|", *ODD])
    assert output == Output("|".join([*ODD, ""]).encode(), 0)
    assert errors is not None


def test_input_and_output_are_binary(shell: list[str]) -> None:
    content = bytes(range(256)) * 400
    output, _ = run(shell, ["cat"], content)
    assert output == Output(content, 0)


def test_exit_codes_and_signals_are_those_of_the_command(shell: list[str]) -> None:
    for script, code in (("exit 255", 255), ("kill -SEGV $$", 139), ("echo wrong >&2; exit 3", 3)):
        output, errors = run(shell, ["sh", "-c", script])
        assert output == Output(b"", code)
    assert errors is not None
    assert errors.payload.endswith(b"wrong\n")
    output, _ = run(shell, ["edgefer-has-no-such-program"])
    assert output is not None
    assert output.exit_code == 127


@pytest.mark.parametrize(
    "rc",
    [
        "echo Welcome", "printf Welcome", "echo Welcome >&2", "exec 2>/dev/null", "exec 2>&-", "umask 777", "set -eu",
        "export LC_ALL=xx_YY.no-such", "export PYTHONPATH=$HOME:.:", "cat /bin/true", "trap 'echo bye' EXIT",
        "export SHELLOPTS; set -x", "sleep 30 &", "read -t 1 line; echo got:$line",
    ],
)  # fmt: skip
def test_an_rc_file_before_the_command_has_no_effect(rc: str) -> None:
    frame = Frame()
    ended = run_process(
        ["bash", "-c", f"{rc}\n{frame.remote_command}"], name="shelf", timeout_s=60, frame=frame, stdin=b"content",
        first_line=frame.first_line(["sh", "-c", "cat; umask; echo $PYTHONPATH"], has_input=True),
    )  # fmt: skip
    assert frame.split(ended.stdout) == Output(b"content0077\n\n", 0)


@pytest.mark.parametrize(
    "rc", ["PYTHONINSPECT=1", "PYTHONIOENCODING=utf-16", "PYTHONWARNINGS=error", "PYTHONVERBOSE=1", "PYTHONHOME=/none"]
)
def test_variables_of_python_in_an_rc_file_have_no_effect(rc: str) -> None:
    output, errors = run(["bash", "-c", f'export {rc}; eval "$0"'], [sys.executable, "-c", "print('ok')"])
    assert output == Output(b"ok\n", 0)
    assert errors == Output(b"", 0)


@pytest.mark.parametrize("rc", ["exit 0", "exec true", "echo 'This account is not available.'; exit 1"])
def test_an_rc_file_that_exits_leaves_no_frame(rc: str) -> None:
    frame = Frame()
    ended = subprocess.run(["bash", "-c", f"{rc}\n{frame.remote_command}"], capture_output=True, check=False)
    assert frame.split(ended.stdout) is None


def test_a_closed_connection_ends_the_command(tmp_path) -> None:
    frame = Frame()
    line = frame.first_line(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300"])
    with subprocess.Popen(["sh", "-c", frame.remote_command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(line)
        process.stdin.flush()
        while not (tmp_path / "pid").exists():
            assert process.poll() is None
        process.stdin.close()
        assert process.stdout
        # The shell reports the signal that ended the command.
        assert frame.split(process.stdout.read()) == Output(b"", 143)
