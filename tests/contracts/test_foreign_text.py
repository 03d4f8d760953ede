"""Text from records, boards and file names cannot control a terminal, forge a line, or become HTML or a link."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgefer.cli import main
from edgefer.data.synthetic import draw
from edgefer.escaping import escape_markdown, printable
from edgefer.models import SHIPPED

OLD = Path(__file__).parents[1] / "fixtures" / "before"
CORPUS = [
    "\x1b]52;c;cm0gLXJm\x07\x1b[31mRED",  # writes to the clipboard
    "\x1b[2J\x1b[H", "\x1bP1$r\x1b\\", "\x9b31m", "\x9d0;title\x9c", "a\x08\x08b", "a\rb", "\x0e\x0f", "\x7f",
    "a\nedgefer: forged", "a\u2028b\u2029c", "a\x0bb\x0cc\x85d",
    "\u202egnp.exe", "\u2066x\u2069\u200f\u061c", "\u200bx\ufeff", "x\U000e0041", "\ud800", "caf\udce9",
    "<img src=x onerror=alert(1)>", "<!--", "&lt;script&gt;", "[x](javascript:alert(1))", "![x](//evil)", "`<b>`",
    "|<b>|",
    "```\n<script>alert(1)</script>", "~~~", "[red]x[/red]", ":heart:", "%s {x} \\",
]  # fmt: skip
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
# Raw HTML, and links and images with untrusted text or addresses.
MARKUP = re.compile(r"<(?!!-- results:)[a-zA-Z!/]|(?<!\\)\]\(")
RECORDS = ("train", "quantize", "evaluate", "bench", "inspect", "verify")
FIXED = ("kind",)


def run(*arguments, cwd):
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main.run([str(argument) for argument in arguments])
    finally:
        os.chdir(before)
    return code, out.getvalue(), err.getvalue()


def check_terminal(text):
    assert not UNSAFE.search(text), repr(UNSAFE.search(text))
    assert not re.search(r"^edgefer: forged", text, re.MULTILINE)


def outside_code(markdown):
    """Return Markdown without code blocks and code spans, in which nothing is markup."""
    text, fence = [], ""
    for line in markdown.splitlines():
        mark = re.match(r"`{3,}|~{3,}", line)
        if fence:
            fence = "" if line.startswith(fence) and not line.strip(fence[0]) else fence
        elif mark:
            fence = mark[0]
        elif not line.startswith("    "):
            text.append(line)
    assert not fence
    # A code span can continue on the next line, but not in another paragraph.
    return re.sub(r"(?<!\\)`[^`\n]*(\n[^`\n]+)*`", "", "\n".join(text))


def check_markdown(text):
    assert not UNSAFE.search(text), repr(UNSAFE.search(text))
    assert not MARKUP.search(outside_code(text)), MARKUP.search(outside_code(text))


def with_text(value, text, key=""):
    """Prefix every string of a record with ``text``, including the keys of mappings that are not part of the schema."""
    if isinstance(value, dict):
        return {
            (f"{text}{name}" if key in ("images", "packages", "settings", "pythons") else name): (
                nested if name in FIXED else with_text(nested, text, name)
            )
            for name, nested in value.items()
        }
    if isinstance(value, list):
        return [with_text(item, text) for item in value]
    return f"{text}{value}" if isinstance(value, str) else value


@pytest.fixture(params=CORPUS, ids=range(len(CORPUS)))
def text(request):
    return request.param


@pytest.fixture
def records(text, tmp_path):
    for name in RECORDS:
        record = with_text(json.loads((OLD / f"{name}.json").read_text()), text)
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    return [f"{name}.json" for name in RECORDS]


def test_escaped_text_contains_no_control_character_and_no_markup(text):
    check_terminal(printable(text, kept=""))
    check_markdown(escape_markdown(text))
    assert printable("happy, \u00e9, \u4e2d, \U0001f600") == "happy, \u00e9, \u4e2d, \U0001f600"


def test_reports_of_foreign_records(records, tmp_path):
    code, out, err = run("report", *records, cwd=tmp_path)
    assert code == 0, err
    check_terminal(out + err)
    code, out, err = run("report", *records, "--markdown", cwd=tmp_path)
    assert code == 0, err
    check_markdown(out)
    (tmp_path / "README.md").write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    code, out, err = run("report", *records, "--into", "README.md", cwd=tmp_path)
    assert code == 0, err
    check_markdown((tmp_path / "README.md").read_text())
    code, out, err = run("report", *records, "--html", "report.html", cwd=tmp_path)
    assert code == 0, err
    check_terminal(out + err)
    assert "<img" not in (tmp_path / "report.html").read_text()
    code, out, err = run("report", *records, "--json", cwd=tmp_path)
    assert code == 0, err
    json.loads(out)
    check_terminal(out)


def test_model_cards_of_foreign_records(records, text, tmp_path):
    digest = json.loads((OLD / "inspect.json").read_text())["sha256"]
    for name in RECORDS:
        content = (
            (tmp_path / name).with_suffix(".json").read_text().replace(json.dumps(f"{text}{digest}"), f'"{digest}"')
        )
        (tmp_path / name).with_suffix(".json").write_text(content)
    model = OLD / "run" / "demo-int8.tflite"
    code, out, err = run("report", model, *records, "--card", "card.md", cwd=tmp_path)
    assert code == 0, err
    check_terminal(out + err)
    card = (tmp_path / "card.md").read_text()
    assert "## Measured boards" in card
    check_markdown(card)


def test_errors_about_foreign_records(text, tmp_path):
    for name, record in {
        "kind.json": {"kind": text}, "value.json": {"kind": "bench", "schema_version": 2, "measurements": text},
        "key.json": {"kind": "evaluation", "schema_version": text, text: [float("nan")]},
    }.items():  # fmt: skip
        (tmp_path / name).write_text(json.dumps(record))
        code, out, err = run("report", name, cwd=tmp_path)
        assert (code, out) == (1, "")
        check_terminal(err)
        assert len(err.splitlines()) == 2


@pytest.mark.parametrize("start", range(5))
def test_arguments_and_names_of_files(start, tmp_path):
    # A file system takes 255 bytes.
    name = "".join(CORPUS[start::5]).replace("/", "_").replace("\ud800", "\udcff")
    pixels, emotion = draw(40, seed=0)
    np.savez(tmp_path / "faces.npz", pixels=pixels, emotion=emotion, usage=np.repeat(["Training", "PublicTest"], 20))
    for label in ("happy", name):
        (tmp_path / "tree" / "train" / label).mkdir(parents=True, exist_ok=True)
    (tmp_path / "tree" / "train" / "happy" / f"{name}.png").write_bytes(b"junk")
    (tmp_path / f"{name}.pgm").write_bytes(b"P5 64 64 255\n" + bytes(range(64)) * 64)
    (tmp_path / f"{name}.png").write_bytes(b"junk")
    shutil.copy(SHIPPED, tmp_path / f"{name}.tflite")
    model = f"./{name}.tflite"
    for arguments in (
        ("predict", "--no-detect", f"./{name}.pgm"), ("predict", "--no-detect", f"./{name}.png"),
        ("predict", "--no-detect", f"./{name}.pgm", "--json"), ("predict", f"./{name}"),
("predict", "--model", name, "x"),
        ("inspect", model), ("evaluate", model, "--data", "faces.npz"), ("evaluate", model, "--data", f"./{name}"),
        ("data", "check", "tree"), ("data", "check", f"./{name}.png"), ("bench", f"./{name}.png"),
        ("export", f"./{name}.png"), ("report", model), ("verify", f"./{name}.png"), ("train", "--system", name),
        ("quantize", f"./{name}"), ("devices", "probe", name), (name,), ("predict", f"--{name}"),
    ):  # fmt: skip
        _, out, err = run(*arguments, cwd=tmp_path)
        assert "--debug" not in err, err
        check_terminal(out + err)
