"""Damaged models, data sets, pictures and records end every command with an error that has a hint, and no crash."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUZZ = ROOT / "tests" / "tools" / "fuzz.py"
# A module that makes inputs, and whose inputs are the statements of the test.
KIND = """
import sys
import types
from pathlib import Path
from tests.tools.fuzzing import Case, run_inputs

kind = types.SimpleNamespace(
    prepare=lambda folder: None,
    make=lambda folder, seed: Case("statement", (lambda: exec(sys.argv[seed]),)),
)
timeout_s = 2 if "sleep" in sys.argv[1] else 60
run_inputs(kind, first=1, count=len(sys.argv) - 1, timeout_s=timeout_s).print_summary()
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("litert")]


@pytest.mark.parametrize("kind", ["models", "data", "pictures", "records"])
def test_commands_survive_damaged_inputs(kind):
    command = [sys.executable, FUZZ, kind, "--count", "2000", "--seed", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2000 inputs, 0 failures" in ended.stdout


def run_statements(*statements: str) -> str:
    command = [sys.executable, "-c", KIND, *statements]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("print('Traceback (most recent call last)')", "internal error"),
        ("1 / 0", "internal error"),
        ("print('a' + chr(27) + 'b')", "control character"),
        ("print(chr(0x202e))", "control character"),
        ("import os; os.write(2, b'\\xff')", "control character"),
        ("b'x' * (1200 * 2**20)", "MiB of memory"),
        ("bytearray(6 * 2**30)", "internal error: 'MemoryError'"),
        ("__import__('time').sleep(60)", "hang of more than 2 s"),
        ("__import__('os').abort()", "ended by SIGABRT"),
        ("__import__('os')._exit(3)", "ended by exit"),
    ],
)
def test_each_kind_of_problem_is_reported_and_the_next_input_is_checked(statement, problem):
    out = run_statements(statement, "print('edgefer: no such file')")
    assert problem in out.splitlines()[0]
    assert "2 inputs, 1 failures" in out


def test_an_error_of_a_command_needs_a_hint():
    code = (
        "from tests.tools.fuzzing import find_problem\n"
        "print(find_problem(1, 'edgefer: no such file\\n'))\n"
        "print(find_problem(1, 'edgefer: no such file\\n  try: another name\\n') == '')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "error without a hint\nTrue\n"


@pytest.mark.parametrize("kind", ["models", "data", "pictures", "records"])
def test_equal_seeds_make_equal_inputs(kind, tmp_path):
    # The content of archives and videos contains the time.
    code = (
        "import importlib, pathlib, sys, tempfile\n"
        "kind = importlib.import_module(f'tests.tools.fuzz_{sys.argv[1]}')\n"
        "folder = pathlib.Path(tempfile.mkdtemp(dir=sys.argv[2]))\n"
        "kind.prepare(folder)\n"
        "for seed in range(40):\n"
        "    place = folder / str(seed)\n"
        "    (place / 'input').mkdir(parents=True)\n"
        "    print(kind.make(place, seed).group)\n"
        "    for path in sorted(place.rglob('*')):\n"
        "        if path.is_file():\n"
        "            print(ascii(path.relative_to(place)), path.stat().st_size)\n"
    )

    command = [sys.executable, "-c", code, kind, tmp_path]
    first, second = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first == second
    assert len(first.splitlines()) >= 80
