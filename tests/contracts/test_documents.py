"""The commands, options, make targets and links in the documents exist."""

import re
import shutil
from pathlib import Path

import click
import cv2
import pytest
from command_tree import leaf_commands

from edgefer.cli.deprecated_names import DEPRECATED
from edgefer.cli.main import app
from edgefer.models import SHIPPED

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in (".", ".github", "benchmarks", "docs", "calibration", "edgefer/models", "tests/fixtures")
    for path in (ROOT / folder).glob("*.md")
)
LONGEST_LINE = 120
# Options of other programs in the documents.
OTHER_PROGRAMS = {"--commands", "--count", "--system-site-packages"}  # tests.tools.fuzz_models, python3 -m venv

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def test_there_are_documents():
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {path.name for path in DOCUMENTS}


def command_of(words):
    """Return the command that the first of ``words`` name, or None."""
    command = app
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return command


def options_of(command):
    return {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}


def command_lines(text):
    """Yield the words after ``edgefer`` of each command line in a code block or between backquotes."""
    blocks = re.findall(r"^(?: {4,}|\$ )(.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for line in blocks:
        match = re.match(r"(?:\S*/)?edgefer ((?:[a-z]|-).*)", line.partition("  #")[0])
        if match:
            yield match[1].split()


@each_document
def test_commands_and_their_options_exist(document):
    for words in command_lines(document.read_text(encoding="utf-8")):
        # edgefer service install -- OPTIONS OF EDGEFER LIVE
        own, live_options = (words[: words.index("--")], words[words.index("--") :]) if "--" in words else (words, [])
        command = command_of([word for word in own if not word.startswith("-")][:2])
        assert command, words
        for typed, known in ((own, options_of(command)), (live_options[1:], options_of(command_of(["live"])))):
            assert {word.partition("=")[0] for word in typed if word.startswith("--")} <= known, words


@each_document
def test_options_outside_of_command_lines_exist_in_some_command(document):
    # The changelog and the migration notes name the former options.
    former = {name for names in DEPRECATED.values() for name in names}
    known = OTHER_PROGRAMS.union(former, *(options_of(command) for _, command in leaf_commands()))
    named = re.findall(r"`(--[a-z0-9-]+)[^`\n]*`", document.read_text(encoding="utf-8"))
    assert set(named) <= known


@each_document
def test_targets_of_make_exist(document):
    known = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = re.findall(r"(?:`|^ {4,}|^)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= known


@each_document
def test_links_have_a_target(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert "://" in target or (document.parent / target).exists(), target


@each_document
def test_lines_are_short(document):
    lines = document.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if len(line) > LONGEST_LINE and not line.startswith(("|", "["))]


def test_the_python_of_the_api_page_runs(tmp_path, monkeypatch, capsys):
    """The blocks run in order, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    portrait = cv2.imread(str(ROOT / "tests" / "fixtures" / "astronaut.jpg"))
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    shutil.copy(SHIPPED, "runs/latest/compact_small-int8.tflite")
    cv2.imwrite("photo.jpg", portrait)
    cv2.imwrite("face.png", portrait[60:170, 170:280])
    writer = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 30, (512, 512))
    for _ in range(6):
        writer.write(portrait)
    writer.release()
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, "python-api.md", "exec"), names)
    printed = capsys.readouterr().out
    assert len(blocks) >= 3
    assert printed.count("happy") >= 3
