"""Files that commands write: checked before the work, written after the result is printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_tree import leaf_commands

from edgefer.cli import outputs
from edgefer.cli.commands import predict
from edgefer.cli.outputs import InputName, OutputPath
from edgefer.errors import ThresholdNotMet
from edgefer.models import SHIPPED
from edgefer.text_table import Result

COMMANDS = leaf_commands()
PATHS = [
    pytest.param(words, command, parameter, id=f"{'-'.join(words)}-{parameter.name}")
    for words, command in COMMANDS
    for parameter in command.params
    if isinstance(parameter.type, (click.Path, InputName))
]
INPUTS = ("m.tflite", "faces.npz", "fer2013.csv", "r.json", "folder/a.png", "clip.avi", "net.py")
OUTPUTS = [path for path in PATHS if isinstance(path.values[2].type, OutputPath)]


def command_line(words, command, parameter, value):
    """Return a command line with ``value`` for one output; the other required arguments name nothing."""
    arguments = [
        value if other is parameter else f"nowhere{number}"
        for number, other in enumerate(command.params)
        if isinstance(other, click.Argument) and (other.required or other is parameter)
    ]
    options = [] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return [*words, *arguments, *options]


@pytest.mark.parametrize(("words", "command", "parameter"), OUTPUTS)
def test_an_output_that_cannot_be_written_is_reported_before_the_command_starts(
    edgefer, monkeypatch, tmp_path, words, command, parameter
):
    (tmp_path / "file").write_text("kept")
    name = "n" * 256
    for value in ("file/x", "file/deep/x", "/proc/x", name, f"deep/{name}/x"):
        outcome = edgefer(*command_line(words, command, parameter, value))
        assert outcome.code in (1, 2), outcome.err
        assert outcome.out == ""
        (line, hint) = outcome.err.strip().splitlines()
        assert line.startswith("edgefer: cannot write "), line
        assert value in line
        assert hint.startswith("  try: ")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(("words", "command", "parameter"), PATHS)
def test_an_empty_path_is_not_the_current_folder(edgefer, words, command, parameter):
    outcome = edgefer(*command_line(words, command, parameter, ""))
    assert (outcome.code, outcome.out) == (2, "")
    assert "the path is empty" in outcome.err


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id="-".join(each[0])) for each in COMMANDS])
def test_every_option_that_writes_a_file_is_checked(words, command):
    for parameter in command.params:
        text = getattr(parameter, "help", None) or ""
        writes = text.startswith(("Write", "Also write")) and not text.endswith("to stdout.")
        if writes and not parameter.is_flag:
            assert isinstance(parameter.type, OutputPath), parameter.opts
    assert any("--out" in parameter.opts for parameter in command.params)


@pytest.mark.parametrize("arguments", [
    ("report", "{results}", "{model}", "--out", "{model}"),
    ("report", "{model}", "--card", "./{model}"),
    ("report", "{model}", "--html", "same", "--out", "same"),
    ("evaluate", "{model}", "--data", "faces.npz", "--out", "faces.npz"),
    ("evaluate", "{model}", "--data", "faces.npz", "--out", "link.npz"),
    ("data", "check", "faces.npz", "--out", "faces.npz"),
    ("data", "check", "folder", "--out", "folder"),
    ("predict", "folder", "--draw", "folder/."),
    ("predict", "folder/a.png", "--draw", "folder"),
    ("train", "--init-from", "folder", "--run", "folder"),
    ("train", "--teacher", "other,folder", "--run", "folder"),
    ("train", "--out", "fer2013.csv"),
    ("calibrate", "faces.npz", "--data", "faces.npz"),
    ("bench", "{model}", "--faces", "faces.npz", "--out", "faces.npz"),
    ("live", "--video", "clip.avi", "--out", "clip.avi"),
    ("predict", "folder/*", "--out", "folder/a.png"),
    ("predict", "folder", "--out", "folder/a.png"),
    ("predict", "folder", "--labels", "names.toml", "--out", "names.toml"),
    ("evaluate", "{model}", "--labels-map", "names.toml", "--out", "names.toml"),
    ("train", "--architecture", "net.py:build", "--out", "net.py"),
])  # fmt: skip
def test_no_output_replaces_an_input(edgefer, tmp_path, arguments):
    (tmp_path / "folder").mkdir()
    contents = dict.fromkeys(INPUTS, "precious") | {"names.toml": 'joy = "happy"'}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "link.npz").hardlink_to(tmp_path / "faces.npz")
    outcome = edgefer(*(word.format(model="m.tflite", results="r.json") for word in arguments))
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    for name, content in contents.items():
        assert (tmp_path / name).read_text() == content
    assert not (tmp_path / "same").exists()


@pytest.mark.parametrize("options", [["--out", "disk"], ["--output-dir", "disk"]])
def test_a_result_is_printed_if_its_file_cannot_be_written(edgefer, data, tmp_path, monkeypatch, options):
    from edgefer import files

    def fail(path, content, **options):
        raise OSError(28, "No space left on device", str(path))

    timed = ("bench", SHIPPED, "--runs", 2, "--seconds", 0)
    request = files.write_text
    # Another benchmark of this machine holds the lock of the user's cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "write_text", lambda path, text: (fail if "disk" in str(path) else request)(path, text))
    outcome = edgefer(*timed, *options)
    assert outcome.code == 7
    assert "p50 us" in outcome.out
    assert "printed but not written" in outcome.err
    assert "No space left on device" in outcome.err


def test_both_a_missed_threshold_and_a_lost_file_are_reported(edgefer, monkeypatch):
    result = Result({"kind": "predictions"}, "the result", ThresholdNotMet("accuracy is too low"))
    monkeypatch.setattr(predict.command, "callback", lambda **options: result)
    outcome = edgefer("predict", "face.png", "--out", "/dev/full")
    assert outcome.code == 7
    assert outcome.out == "the result\n"
    assert "edgefer: accuracy is too low\n" in outcome.err
    assert "edgefer: the result was printed but not written: /dev/full: No space left on device\n" in outcome.err


def test_a_result_is_written_to_a_pipe(tmp_path):
    read, written = os.pipe()
    outputs.check_output("--out", Path(f"/dev/fd/{written}"), is_folder=False)
    for descriptor in (read, written):
        os.close(descriptor)


def test_a_result_is_written_if_it_cannot_be_printed(pictures, tmp_path):
    command = ["predict", str(pictures[0]), "--no-detect", "--model", str(SHIPPED), "--out", "result.json"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "edgefer", *command], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
        )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert json.loads((tmp_path / "result.json").read_text())["kind"] == "predictions"


def test_pictures_are_written_after_the_evaluation_is_printed(edgefer, data, tmp_path, monkeypatch):
    from edgefer.workstation.plots import figure

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "save", fail)
    outcome = edgefer("evaluate", SHIPPED, "--data", data, "--pictures", "pictures", "--json")
    assert outcome.code == 7, outcome.err
    assert outcome.record["kind"] == "evaluation"


def test_a_temporary_file_of_a_killed_command_is_removed_by_the_next_one(edgefer, pictures, tmp_path):
    leftover = tmp_path / ".4194305_abcd_123-result.json"  # no process has this number
    leftover.touch()
    os.utime(leftover, (1, 1))
    arguments = ("predict", pictures[0], "--no-detect", "--model", SHIPPED)
    assert edgefer(*arguments, "--out", "result.json").code == 0
    assert os.listdir(tmp_path) == ["result.json"]
