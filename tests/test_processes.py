import functools
import os
import sys
import threading
import warnings
from pathlib import Path

import pytest

import edgefer
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.processes import (
    allow_output_suppression,
    error_from_json,
    error_to_json,
    run_code,
    run_module,
    suppress_native_output,
)


@pytest.fixture
def run(tmp_path: Path):
    """Return a function that runs code in a child."""
    return functools.partial(run_code, folder=tmp_path)


def test_exit_code_arguments_and_last_line(run) -> None:
    ended = run("import sys; print('first', file=sys.stderr); sys.exit(' '.join(sys.argv[1:]))", "a", "b")
    assert (ended.exit_code, ended.signal, ended.timed_out) == (1, None, False)
    assert ended.last_line == "a b"


def test_a_crash_has_the_name_of_its_signal(run) -> None:
    ended = run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert ended.signal == "SIGSEGV"
    assert not ended.timed_out


def test_a_hanging_child_is_killed(run) -> None:
    ended = run("import time; time.sleep(60)", timeout_s=0.2)
    assert ended.timed_out
    assert ended.signal == "SIGKILL"


def test_a_time_limit_above_that_of_the_kernel_is_accepted(tmp_path: Path) -> None:
    # poll() takes at most 2 ** 31 milliseconds.
    assert run_code("pass", folder=tmp_path, timeout_s=1e12).exit_code == 0


def test_the_child_imports_the_same_edgefer(tmp_path: Path) -> None:
    # cli without arguments is a usage error; a missing module would be exit code 1.
    assert run_module("edgefer", folder=tmp_path).exit_code == 2


@pytest.mark.parametrize("error", [DataError("a", why="b", hint="c"), IncompatibleError("a")])
def test_an_error_survives_a_round_trip(error: EdgeferError) -> None:
    back = error_from_json(error_to_json(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_an_unknown_kind_of_error_becomes_a_data_error() -> None:
    assert isinstance(error_from_json({"error": {"kind": "KeyError", "what": "a", "why": "", "fix": ""}}), DataError)


def test_another_python_imports_this_edgefer_and_no_other_package_of_this_one(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/this/python")
    monkeypatch.setenv("PYTHONHOME", "/of/this/python")
    report = tmp_path / "report"
    text = "import os, sys, edgefer; open(sys.argv[1], 'w').write(os.path.realpath(edgefer.__file__) + str(sys.path))"
    ended = run(text, report, python=Path(sys.executable))
    assert ended.exit_code == 0, ended.stderr
    assert report.read_text().startswith(str(Path(edgefer.__file__).resolve()))
    assert "/of/this/python" not in report.read_text()


def test_a_missing_python_is_an_os_error(run, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        run("", python=tmp_path / "nowhere")


@pytest.mark.parametrize("fields", [{}, {"error": 3}, {"error": {"kind": 1, "what": "", "why": "", "fix": ""}}])
def test_an_invalid_description_of_an_error_is_a_data_error(fields) -> None:
    with pytest.raises(DataError, match="invalid description"):
        error_from_json(fields)


@pytest.fixture
def command():
    """Run the test as a command, which may suppress output."""
    with allow_output_suppression():
        yield


@pytest.mark.usefixtures("command")
def test_a_command_discards_native_output(capfd):
    with suppress_native_output():
        os.write(2, b"INFO: created a delegate\n")
        print("saved artifact")
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("command")
def test_native_output_before_an_exception_is_shown(capfd):
    with pytest.raises(RuntimeError), suppress_native_output():
        os.write(2, b"the reason\n")
        raise RuntimeError
    assert "the reason" in capfd.readouterr().err


@pytest.mark.usefixtures("command")
def test_stderr_is_restored_afterwards(capfd):
    with suppress_native_output():
        pass
    os.write(2, b"visible")
    assert capfd.readouterr().err == "visible"


def test_without_a_command_nothing_is_suppressed(capfd):
    with suppress_native_output():
        os.write(2, b"INFO\n")
        print("own line")
    assert capfd.readouterr() == ("own line\n", "INFO\n")


@pytest.mark.usefixtures("command")
def test_other_threads_of_a_command_suppress_nothing():
    stdout, filters, streams = sys.stdout, list(warnings.filters), []

    def work():
        with allow_output_suppression(), suppress_native_output(ignored_warning="deprecated"):
            streams.append((sys.stdout, list(warnings.filters)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert streams == [(stdout, filters)]


@pytest.mark.usefixtures("command")
def test_a_warning_to_ignore_is_ignored_within_the_block_only():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with suppress_native_output(ignored_warning="deprecated"):
            warnings.warn("deprecated: use another", UserWarning, stacklevel=1)
            warnings.warn("other", UserWarning, stacklevel=1)
        warnings.warn("deprecated afterwards", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["other", "deprecated afterwards"]


@pytest.mark.parametrize("name", ["TF_CPP_MIN_LOG_LEVEL", "OPENCV_LOG_LEVEL", "OPENCV_FFMPEG_LOGLEVEL"])
def test_the_log_level_of_a_library_is_set_for_commands_only(monkeypatch, name):
    monkeypatch.delenv(name, raising=False)
    with allow_output_suppression():
        assert os.environ[name]
    assert name not in os.environ
    monkeypatch.setenv(name, "0")
    with allow_output_suppression():
        assert os.environ[name] == "0"
    assert os.environ[name] == "0"
