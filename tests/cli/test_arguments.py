"""Every command with files of the wrong kind and with names that mean something to a formatter or a terminal."""

import json
import shlex
import shutil
import zipfile

import click
import cv2
import numpy as np
import pytest
from command_tree import leaf_commands
from tiny_space import SPACE

from edgefer.cli import main
from edgefer.cli.outputs import InputName, OutputPath
from edgefer.models import SHIPPED

# Options that keep a command short where it takes the file.
SHORT = {
    "bench": ["--runs", "2", "--seconds", "0"], "export": ["--zip", "--output-dir", "exported"],
    "live": ["--no-window", "--frames", "1"], "quantize": ["--int8"], "verify": ["--threads", "1"],
    "train": ["--system", "demo", "--epochs", "1"],
}  # fmt: skip
# Arguments besides the one that is tested.
OTHERS = {
    "predict": ["face.png"], "import": ["m.tflite"], "report": ["m.tflite"], "calibrate": ["set.csv"],
    "data check": ["faces.npz"], "search": ["space.toml", "--judge", "macs"],
}  # fmt: skip
# bench reads the data set for --accuracy, live a detector's model with a camera, quantize the data for a trained run.
UNUSED = {
    ("bench", "--data"),
    ("bench", "--ferplus"),
    ("live", "--detector-model"),
    ("service install", "--model"),
    ("quantize", "--data"),
    ("quantize", "--ferplus"),
    ("train", "--resume"),
}
KINDS = ["empty", "folder", "face.png", "model.keras", "other.json", "list.json", "text.txt", "binary.bin", "run",
         "cut.tflite", "missing", "/dev/null", "n" * 300]  # fmt: skip
NAMES = ["new\nline %s{x}%(y)s [bold]x[bold] caf\udce9 \x1b[31mred :heart:", "-dash"]


INPUTS = [
    pytest.param(words, parameter, id=f"{'-'.join(words)}-{parameter.name}")
    for words, command in leaf_commands()
    for parameter in command.params
    if isinstance(parameter.type, (click.Path, InputName)) and not isinstance(parameter.type, OutputPath)
    if (" ".join(words), parameter.opts[0]) not in UNUSED and words[0] != "devices"
    # Labels can be names instead of a file, and FFmpeg plays nearly any file as a video.
    if parameter.name not in ("labels", "video")
]


# tests/cli/commands/test_bench.py has those of bench.
NUMBERS = [
    pytest.param(parameter, id=f"{'-'.join(words)}-{parameter.name}")
    for words, command in leaf_commands()
    for parameter in command.params
    if isinstance(parameter.type, (click.FloatRange, type(click.FLOAT))) and words != ["bench"]
]


@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
@pytest.mark.parametrize("parameter", NUMBERS)
def test_a_number_is_finite(parameter, value):
    with pytest.raises(click.BadParameter):
        parameter.type.convert(value, parameter, None)


@pytest.fixture
def place(tmp_path, monkeypatch, data):
    """Return the test's folder with one file of each kind."""
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.toml").write_text('system = "demo"\n')
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "empty").touch()
    (tmp_path / "other.json").write_text('{"kind": "shopping"}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "text.txt").write_text("hello\nworld\n")
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "cut.tflite").write_bytes(SHIPPED.read_bytes()[:5000])
    shutil.copy(SHIPPED, tmp_path / "m.tflite")
    shutil.copy(data, tmp_path / "faces.npz")
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((48, 48), np.uint8))
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    return tmp_path


def command_line(words, parameter, value):
    options = SHORT.get(words[0], [])
    if isinstance(parameter, click.Argument):
        return [*words, *options, "--", value]
    if parameter.name == "ferplus" and words[0] != "data":
        options = [*options, "--data", "faces.npz"]
    return [*words, *options, *OTHERS.get(" ".join(words), []), f"{parameter.opts[0]}={value}"]


def check_message(outcome, words):
    assert "--debug" not in outcome.err, outcome.err
    assert outcome.code in (1, 2, 5), outcome.err
    assert outcome.out == ""
    assert outcome.err.isascii() or outcome.err.replace("\n", "").isprintable()
    lines = outcome.err.splitlines()
    assert lines[-2].startswith("edgefer: ") or lines[-1].startswith("Error: "), outcome.err
    assert "BadZipFile" not in outcome.err
    assert "codec" not in outcome.err
    # The slow steps, which a wrong argument must precede.
    assert "generating faces" not in outcome.err


@pytest.mark.parametrize(("words", "parameter"), INPUTS)
def test_a_file_of_the_wrong_kind_is_reported_before_any_work(edgefer, place, words, parameter):
    for value in KINDS:
        if (value, words[0]) in {("face.png", "predict"), ("folder", "train"), ("cut.tflite", "inspect")}:
            continue
        outcome = edgefer(*command_line(words, parameter, value))
        check_message(outcome, words)
        if (value, words[0]) != ("run", "report"):  # which takes it, but finds no result there
            assert value in outcome.err, outcome.err


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize(("words", "parameter"), INPUTS)
def test_a_name_is_printed_as_it_is(edgefer, place, words, parameter, name):
    (place / name).write_text("junk")
    outcome = edgefer(*command_line(words, parameter, name))
    check_message(outcome, words)
    shown = main.printable(name, kept="")
    assert shown in outcome.err or json.dumps(shown)[1:-1] in outcome.err, outcome.err


@pytest.mark.parametrize(("name", "command"), [
    ("face.png", "edgefer predict face.png"), ("m.tflite", "edgefer evaluate m.tflite"),
    ("model.keras", "edgefer quantize model.keras --int8 --data PATH"), ("faces.npz", "edgefer data check faces.npz"),
    ("run", "edgefer quantize run --int8"),
])  # fmt: skip
@pytest.mark.parametrize("words", [["report"], ["inspect"], ["quantize", "--int8"], ["train", "--init-from"]], ids=str)
def test_the_hint_names_the_command_that_takes_the_file(edgefer, place, name, command, words):
    accepted = {
        "face.png": (), "model.keras": ("quantize",), "m.tflite": ("report", "inspect", "train"),
        "run": ("report", "quantize", "train"),
    }  # fmt: skip
    if words[0] in accepted.get(name, ()):
        pytest.skip("the command takes the file")
    outcome = edgefer(*words, name)
    assert outcome.code == 1, outcome.err
    assert command in outcome.err.splitlines()[-1]
    assert shlex.split(command)
