"""Mutated models end every command with one sentence: no crash, no hang, no gigabyte, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("litert")]


@pytest.mark.parametrize(
    ("commands", "count"),
    [("predict", 216), ("inspect,evaluate", 54), ("bench,verify,export,report,inspect-json,predict-json", 27)],
)
def test_commands_survive_mutated_models(commands, count):
    options = ["--commands", commands, "--count", str(count), "--first", "40000"]
    command = [sys.executable, "-m", "tests.tools.fuzz_models", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{count} mutants, 0 failures" in ended.stdout


def test_crash_of_a_command_fails_the_check(tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "from tests.tools import fuzz_models\n"
        "fuzz_models.edgefer_main = lambda: os.abort()\n"
        "print(fuzz_models.run_command(['predict'], pathlib.Path(sys.argv[1])).problem)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "ended by SIGABRT\n"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("print('Traceback (most recent call last)')", "internal error"),
        ("1 / 0", "internal error"),
        ("print('a' + chr(27) + 'b')", "control character"),
        ("bytearray(1100 * 2**20)", "MiB of memory"),
        ("__import__('time').sleep(60)", "hang of more than 2 s"),
        ("print('edgefer: no such file')", ""),
    ],
)
def test_each_kind_of_problem_fails_the_check(tmp_path, statement, problem):
    code = (
        "import pathlib, sys\n"
        "from tests.tools import fuzz_models\n"
        f"fuzz_models.edgefer_main = lambda: exec({statement!r})\n"
        "print(fuzz_models.run_command(['predict'], pathlib.Path(sys.argv[1]), timeout_s=2).problem)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert problem in ended.stdout
    assert (ended.stdout == "\n") == (problem == "")
