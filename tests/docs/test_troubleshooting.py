"""Each message in docs/troubleshooting.md is in the source, and each exit code in its table is one of a command."""

import ast
import re
from pathlib import Path

import pytest

import edgefer
from edgefer import errors
from edgefer.signals import Terminated

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in row.split(" | ")] for row in re.findall(r"^\| (.*) \|$", PAGE, re.MULTILINE)]
MESSAGES = [row[0].strip("`") for row in ROWS if row[0].startswith("`")]
# Messages of pip, Debian, OpenCV and click.
OTHER_PROGRAMS = {
    "No matching distribution found for ai-edge-litert", "has no attribute 'CascadeClassifier'",
    "libGL.so.1: cannot open shared object file", "externally-managed-environment",
}  # fmt: skip
# Values that the page shows instead of "...".
EXAMPLES = {"python3": "...", "/path/to/python": "...", "systemctl --user ...": "..."}


def texts():
    """Return all strings of the source, with "..." for the values in f-strings and for the fields of templates."""
    found = set()
    for path in Path(edgefer.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
                found.add("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"\{\w+\}", "...", node.value))
    return found


TEXTS = texts()


@pytest.mark.parametrize("message", [message for message in MESSAGES if message not in OTHER_PROGRAMS])
def test_a_message_of_the_page_is_in_the_source(message):
    for example, placeholder in EXAMPLES.items():
        message = message.replace(example, placeholder)
    assert any(message.strip(". ") in text for text in TEXTS), message


def test_the_page_has_every_exit_code():
    listed = {int(code) for row in ROWS for code in re.findall(r"\d+", row[0]) if re.fullmatch(r"[\d, ]+", row[0])}
    classes = [getattr(errors, name) for name in errors.__all__]
    assert listed == {0, 130, 129, 143} | {error.exit_code for error in classes}
    assert {Terminated(number).exit_code for number in (1, 15)} <= listed
