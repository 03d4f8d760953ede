import os
import sys
from pathlib import Path

import pytest

import edgefer
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.processes import error_from_json, error_to_json, run_module, suppress_native_output


@pytest.fixture
def module(tmp_path: Path):
    """Run a module of the given text, and what it takes to find it."""

    def run(text: str, *arguments: str, **options):
        (tmp_path / "guest.py").write_text(text)
        return run_module("guest", *arguments, folder=tmp_path, **options)

    return run


def test_exit_code_arguments_and_last_line(module) -> None:
    ended = module("import sys; print('first', file=sys.stderr); sys.exit(' '.join(sys.argv[1:]))", "a", "b")
    assert (ended.exit_code, ended.signal, ended.timed_out) == (1, None, False)
    assert ended.last_line == "a b"


def test_a_crash_is_the_name_of_a_signal(module) -> None:
    ended = module("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert ended.signal == "SIGSEGV"
    assert not ended.timed_out


def test_a_child_that_hangs_is_ended(module) -> None:
    ended = module("import time; time.sleep(60)", timeout_s=0.2)
    assert ended.timed_out
    assert ended.signal == "SIGKILL"


def test_the_child_finds_the_same_edgefer(tmp_path: Path) -> None:
    # cli without arguments is a usage error; a missing module would be exit code 1.
    assert run_module("edgefer", folder=tmp_path).exit_code == 2


@pytest.mark.parametrize("error", [DataError("a", why="b", hint="c"), IncompatibleError("a")])
def test_an_error_goes_there_and_back(error: EdgeferError) -> None:
    back = error_from_json(error_to_json(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_an_error_of_a_kind_that_is_unknown_here_is_still_an_error() -> None:
    assert isinstance(error_from_json({"error": {"kind": "KeyError", "what": "a", "why": "", "fix": ""}}), DataError)


def test_another_python_is_lent_this_edgefer_and_nothing_else(module, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/this/python")
    monkeypatch.setenv("PYTHONHOME", "/of/this/python")
    told = tmp_path / "told"
    text = "import os, sys, edgefer; open(sys.argv[1], 'w').write(os.path.realpath(edgefer.__file__) + str(sys.path))"
    ended = module(text, told, python=Path(sys.executable))
    assert ended.exit_code == 0, ended.stderr
    assert told.read_text().startswith(str(Path(edgefer.__file__).resolve()))
    assert "/of/this/python" not in told.read_text()


def test_a_python_that_is_not_there(module, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        module("", python=tmp_path / "nowhere")


def test_native_chatter_is_dropped(capfd):
    with suppress_native_output():
        os.write(2, b"INFO: created a delegate\n")
        print("saved artifact")
    assert capfd.readouterr() == ("", "")


def test_chatter_before_a_failure_is_shown(capfd):
    with pytest.raises(RuntimeError), suppress_native_output():
        os.write(2, b"the reason\n")
        raise RuntimeError
    assert "the reason" in capfd.readouterr().err


def test_stderr_is_back_afterwards(capfd):
    with suppress_native_output():
        pass
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
