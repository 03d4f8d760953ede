"""The command line as a whole: help, usage errors, exit codes, common options, signals and colors."""

import contextlib
import errno
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgefer import __version__, errors, plugins
from edgefer.cli.commands import predict

ROOT = Path(__file__).parents[2]


def environment(**changes):
    inherited = {name: value for name, value in os.environ.items() if name not in ("EDGEFER_DATA", "NO_COLOR")}
    return {**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **changes}


def start(*arguments, **options):
    """Start the command line in a subprocess."""
    command = [sys.executable, "-m", "edgefer", *map(str, arguments)]
    return subprocess.Popen(command, env=environment(**options.pop("changes", {})), **options)


def test_help_lists_every_command(edgefer):
    outcome = edgefer("--help")
    assert outcome.code == 0
    listed = outcome.out.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.strip().splitlines()] == list(plugins.names("edgefer.cli.commands"))


def test_version(edgefer):
    assert __version__ in edgefer("--version").out


def test_help_imports_no_command_and_no_large_package():
    """The summaries come from the source text, so that --help takes little more than the import of click."""
    script = (
        "import sys; from edgefer.cli import main; main.run(['--help']); "
        "large = ('edgefer.cli.commands.', 'numpy', 'cv2'); "
        "print(*(name for name in sys.modules if name.startswith(large)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "quantize" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["trian"], "train"),
        (["frobnicate"], "evaluate"),
        (["data", "chek"], "check"),
        (["train", "--epoch", "3"], "--epochs"),
        (["evaluate", "--split", "testing"], "public"),
        (["bench", "--runs", "0"], "--runs"),
        (["predict"], "SOURCE"),
        ([], "Usage"),
    ],
)
def test_usage_errors_suggest_a_correction(edgefer, arguments, named):
    outcome = edgefer(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert named in outcome.err


def test_exit_codes_of_errors_are_1_to_7_and_130_for_an_interruption():
    codes = {getattr(errors, name).exit_code for name in errors.__all__}
    assert codes == {1, 2, 3, 4, 5, 6, 7, 130}


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_class_ends_with_its_exit_code(edgefer, monkeypatch, name):
    kind = getattr(errors, name)

    def fail(**options):
        raise kind("it failed", why="a reason", hint="a fix")

    monkeypatch.setattr(predict.command, "callback", fail)
    outcome = edgefer("predict", "face.png")
    assert outcome.code == kind.exit_code
    assert outcome.err == "edgefer: it failed: a reason\n  try: a fix\n"


def test_an_unexpected_error_suggests_debug(edgefer, monkeypatch):
    monkeypatch.setattr(predict.command, "callback", lambda **options: 1 / 0)
    outcome = edgefer("predict", "face.png")
    assert outcome.code == 1
    assert outcome.err.startswith("edgefer: ZeroDivisionError")
    assert "--debug" in outcome.err
    assert "Traceback" not in outcome.err


def test_an_error_of_the_operating_system_is_a_message(edgefer, workplace, pictures, tmp_path):
    (tmp_path / "taken").touch()
    outcome = edgefer("predict", pictures[0], "--model", workplace.int8, "--out", "taken/result.json")
    assert outcome.code == 1
    assert f"edgefer: cannot write --out taken/result.json: {tmp_path / 'taken'}: " in outcome.err
    assert "try: " in outcome.err
    assert "Error" not in outcome.err


@pytest.mark.parametrize("arguments", [["--debug", "predict", "face.png"], ["predict", "face.png", "--debug"]])
def test_debug_shows_the_traceback_before_and_after_the_command_name(edgefer, workplace, arguments):
    outcome = edgefer(*arguments, "--model", workplace.int8)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "DataError" in outcome.err


def test_json_goes_to_stdout_and_progress_to_stderr(edgefer, workplace):
    outcome = edgefer("evaluate", workplace.int8, "--data", workplace.data, "--json")
    assert outcome.code == 0
    assert outcome.record["kind"] == "evaluation"
    assert outcome.record["schema_version"] == 1
    assert "evaluating: 70/70" in outcome.err
    text = edgefer("evaluate", workplace.int8, "--data", workplace.data)
    assert "evaluating" not in text.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.out)


def test_out_writes_the_same_json_and_keeps_the_text(edgefer, workplace, pictures, tmp_path):
    arguments = ("predict", *pictures, "--model", workplace.int8)
    printed = edgefer(*arguments, "--json").out
    text = edgefer(*arguments, "--out", "deep/below/result.json")
    assert (tmp_path / "deep" / "below" / "result.json").read_text() == printed
    assert "expression" in text.out
    assert os.listdir(tmp_path / "deep" / "below") == ["result.json"]


def test_a_failure_keeps_the_file_of_an_earlier_success(edgefer, workplace, tmp_path):
    (tmp_path / "result.json").write_text("earlier\n")
    assert edgefer("predict", "nowhere.png", "--model", workplace.int8, "--out", "result.json").code == 1
    assert (tmp_path / "result.json").read_text() == "earlier\n"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_folder_for_out_is_rejected_before_the_command_runs(edgefer, pictures, tmp_path):
    outcome = edgefer("train", "--out", tmp_path)
    assert outcome.code == 2
    assert "is a directory" in outcome.err


def test_a_closed_pipe_gives_no_traceback(workplace, pictures):
    command = ("predict", *pictures, "--model", workplace.int8, "--json")
    with start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        stderr = process.stderr.read().decode()
    assert process.returncode == 1
    assert stderr.splitlines() == [f"model: {workplace.int8} (as named)"]


def test_an_interrupt_is_exit_code_130_and_leaves_no_file(workplace, tmp_path):
    process = start(
        "bench", workplace.int8, "--seconds", 600, "--out", tmp_path / "bench.json",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    for line in process.stderr:
        if "600 s" in line:
            break
    # A terminal sends the signal to the whole process group.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    # The progress of the first round may precede it.
    assert err.splitlines()[-1] == "edgefer: interrupted"
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_an_interrupted_training_prints_how_to_resume(workplace, tmp_path):
    process = start(
        "train", "--system", "compact_nano", "--data", workplace.data, "--run", tmp_path / "run", "--epochs", 1000,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    for line in process.stderr:
        if "epoch 1, batch" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"to resume: edgefer train --resume {tmp_path / 'run'}" in err
    assert err.rstrip().endswith("edgefer: interrupted")


@pytest.mark.parametrize(("changes", "is_colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honored_on_a_terminal(workplace, changes, is_colored):
    terminal, program_end = pty.openpty()
    process = start(
        "evaluate",
        workplace.int8,
        "--data",
        workplace.data,
        changes=changes,
        stdout=subprocess.DEVNULL,
        stderr=program_end,
    )
    os.close(program_end)
    written = b""
    # The kernel reports a closed terminal as an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 65536):
            written += chunk
    os.close(terminal)
    assert process.wait() == 0
    assert b"evaluating" in written
    assert (b"\x1b[38;5;" in written or b"\x1b[3" in written) == is_colored


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_ends_a_command_without_leftovers(tmp_path, name, code):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "edgefer", "bench", "nano", "--seconds", "300"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("edgefer-bench-*/request.json")):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code
    assert "interrupted" in errors if name == "SIGINT" else f"ended by {name}" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "df -h"), (errno.EROFS, "can be written"), (errno.EACCES, "permissions"),
        (errno.ENOENT, "check the path"), (errno.EMFILE, "ulimit -n"), (errno.ENOMEM, "swap space"),
        (errno.ETXTBSY, "another path"),
    ],
)  # fmt: skip
def test_the_fix_of_a_system_error_follows_from_its_number(edgefer, monkeypatch, number, fix):
    def fails(*arguments, **options):
        raise OSError(number, os.strerror(number), "/some/path")

    monkeypatch.setattr("edgefer.models.find_model", fails)
    outcome = edgefer("inspect", "model.tflite")
    assert outcome.code == 1
    assert "/some/path" in outcome.err
    assert fix in outcome.err.partition("try: ")[2]
