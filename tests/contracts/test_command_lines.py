"""Command lines in messages, hints and docstrings use options that the command has."""

import ast
import re
from pathlib import Path

import click
import pytest

import edgefer
from edgefer.cli.main import app

PACKAGE = Path(edgefer.__file__).parent
COMMAND_LINE = re.compile(r"edgefer ((?:[a-z]+ ?)+)[^\n]*")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# The text after a command line in a sentence.
END = re.compile(r", (?:or|and)|; |\. |\) ")


def options(command):
    visible = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return {"--help", *(name for option in visible for name in (*option.opts, *option.secondary_opts))}


def known_options():
    """Return the options of each command, by its words."""
    context = click.Context(app)
    known = {}
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        known[(name,)] = options(command)
        known |= {(name, word): options(each) for word, each in getattr(command, "commands", {}).items()}
    # It passes the options of live on.
    known["service", "install"] |= known[("live",)]
    return known


def unknown_options(text, known):
    for match in COMMAND_LINE.finditer(text):
        words = tuple(match[1].split())
        command = next((words[:count] for count in (2, 1) if words[:count] in known), None)
        if command is not None:
            line = END.split(match[0])[0]
            yield from (f"{line}: {name}" for name in OPTION.findall(line) if name not in known[command])


def texts(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_option_of_a_command_line_exists():
    known = known_options()
    found = [
        f"{path.relative_to(PACKAGE)}: {problem}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in texts(path)
        for problem in unknown_options(text, known)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("edgefer export --bundle", 1), ("edgefer export X --zip", 0), ("use edgefer bench --against, or none", 1),
        ("edgefer service install --camera 0", 0), ("edgefer devices setup pi --offline", 0),
    ],
)  # fmt: skip
def test_options_that_do_not_exist_are_found(text, count):
    assert len(list(unknown_options(text, known_options()))) == count
