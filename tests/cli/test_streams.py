"""Output in every encoding, on a terminal and in a pipe."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

import pytest

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "koi8-r", "utf-8", "ascii:strict", "utf-8:strict")
LOCALES = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# A picture that OpenCV reads and that no detector is needed for.
PICTURE = b"P5 64 64 255\n" + bytes(range(64)) * 64


def edgefer(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "edgefer", *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, check=False)


def on_a_terminal(*arguments, cwd, **environment):
    """Return the bytes that a command writes to a pseudo-terminal."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", **environment}
    command = [sys.executable, "-m", "edgefer", *arguments]
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # the end of a pseudo-terminal
        while part := os.read(leader, 65536):
            output += part
    os.close(leader)
    process.wait()
    return output


@pytest.fixture
def pictures(tmp_path):
    """Return pictures whose names are not ASCII, not UTF-8, and an escape sequence."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.pgm", "café.pgm", "中.pgm", "\x1b]52;c;x\x07\x1b[31m.pgm", "\u202egnp.pgm"):
        (folder / name).write_bytes(PICTURE)
    (folder / os.fsdecode(b"caf\xe9.pgm")).write_bytes(PICTURE)
    return folder


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_is_complete_in_every_encoding(pictures, encoding, tmp_path):
    result = edgefer("predict", "--no-detect", "pictures", cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode(encoding.partition(":")[0]).splitlines()
    assert sum(".pgm" in line for line in lines) == 6
    rule = lines[1]
    assert set(rule) == ({"─"} if encoding.startswith(("utf", "cp437", "koi8")) else {"-"})


def test_a_table_is_complete_in_the_locale_c(pictures, tmp_path):
    result = edgefer("predict", "--no-detect", "pictures", cwd=tmp_path, **LOCALES)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()
    assert result.stdout.count(b".pgm") == 6


def test_exit_codes_are_kept_in_an_ascii_locale(pictures, tmp_path):
    missing = edgefer("predict", "--no-detect", "pictures/ü.pgm", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert missing.returncode == 1
    assert b"\\xfc.pgm" in missing.stderr
    assert edgefer("prédict", cwd=tmp_path, PYTHONIOENCODING="ascii").returncode == 2


@pytest.mark.parametrize("encoding", ["utf-8:strict", "utf-8"])
def test_names_of_files_keep_their_bytes_in_csv(pictures, encoding, tmp_path):
    result = edgefer("predict", "--no-detect", "--csv", "pictures", cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    names = [line.split(b",")[0] for line in result.stdout.splitlines()[1:]]
    assert len(names) == 6
    assert all((tmp_path / os.fsdecode(name)).exists() for name in names)


def test_a_terminal_gets_no_control_characters(pictures, tmp_path):
    for options in ((), ("--csv",), ("--jsonl",), ("--json",)):
        output = on_a_terminal("predict", "--no-detect", *options, "pictures", cwd=tmp_path)
        assert output.count(b".pgm") >= 6
        assert b"\x1b" not in output, options
        assert b"\x07" not in output, options
        assert "\u202e".encode() not in output, options
