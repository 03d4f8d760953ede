"""The agent script on this machine: facts of unusual interpreters, damaged uploads, and invalid replies."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edgefer.benchmark.isolation import cache_folder
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.fleet.agent_script import MARK, SCRIPT
from edgefer.fleet.connection import Connection, connect
from edgefer.fleet.probe import Facts, probe
from edgefer.fleet.provisioning import provision
from edgefer.fleet.registry import Device
from edgefer.fleet.upload import clean, upload

HERE = Device("here", kind="local", python=sys.executable)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "cache/edgefer/pushed"


@pytest.fixture
def here() -> Iterator[Connection]:
    with closing(connect(HERE)) as connection:
        yield connection


def interpreter(folder: Path, code: str) -> Device:
    """Return a device whose Python executes ``code`` before each script."""
    program = folder / "python"
    start = f"import sys; code = sys.argv[1]; sys.argv[1:2] = []\n{code}\nexec(code)"
    (folder / "start.py").write_text(start)
    program.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} {folder}/start.py "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return replace(HERE, python=str(program))


THIRTY_TWO_BIT = """
import platform, struct
platform.machine = lambda: "aarch64"
original = struct.calcsize
struct.calcsize = lambda text: 4 if text == "P" else original(text)
sys.maxsize = 2**31 - 1
"""


def test_a_32_bit_system_on_a_64_bit_kernel_is_refused_before_anything_is_uploaded(tmp_path: Path, cache: Path) -> None:
    device = interpreter(tmp_path, THIRTY_TWO_BIT)
    with closing(connect(device)) as connection:
        facts = probe(connection, [device.python])
        assert (facts.machine, facts.kernel_machine, facts.bits) == ("armv7l", "aarch64", 32)
        assert (facts.interpreters[0].machine, facts.interpreters[0].bits) == ("armv7l", 32)
        with pytest.raises(IncompatibleError) as caught:
            provision(connection, facts, runtime="litert", device="here", offline=True)
    assert "32-bit system on a 64-bit kernel" in caught.value.why
    assert caught.value.hint == "edgefer devices setup here --runtime tflite_runtime"
    assert not cache.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ImportError('libopenblas.so.0: cannot open shared object file')", "libopenblas.so.0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
        ("import os; os._exit(3)", "exit code 3"),
        ("print('noise'); raise SystemExit(2)", "SystemExit: 2"),
    ],
)
def test_a_package_that_cannot_be_imported_is_reported_with_its_message(
    here: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "cv2.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    facts = probe(here)
    (found,) = facts.interpreters
    assert message in found.errors["opencv"]
    assert found.litert is not None
    assert "litert" not in found.errors
    assert message in found.problem_with("litert")
    assert facts.runtimes == {}
    with pytest.raises(IncompatibleError) as caught:
        facts.select_runtime(None, device="here")
    if "libopenblas" in code:
        assert caught.value.hint == "on the board: sudo apt install libopenblas0"


@pytest.mark.parametrize("name", ["platform", "json", "glob", "struct", "numpy"])
def test_modules_in_the_home_folder_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ":.")
    with closing(connect(HERE)) as connection:
        assert probe(connection).runtimes


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "folder", "unreadable link"])
def test_a_damaged_upload_is_replaced(here: Connection, damage: str) -> None:
    content = bytes(range(256)) * 100
    path = Path(upload(here, content, "model.tflite"))
    if damage in ("folder", "unreadable link"):
        path.unlink()
        path.mkdir() if damage == "folder" else path.symlink_to("nowhere")
    else:
        path.write_bytes({"empty": b"", "cut": content[:-1], "changed": b"x" + content[1:]}[damage])
    assert upload(here, content, "model.tflite") == str(path)
    assert path.read_bytes() == content
    assert not list(path.parent.glob("*.part"))


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    with closing(connect(HERE)) as connection:
        assert probe(connection).cache == f"{tmp_path}/.cache/edgefer/pushed" == str(cache_folder())


@pytest.mark.parametrize("exists", [True, False])
def test_a_python_that_cannot_be_run_is_named(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "python"
    if exists:
        path.touch()
    with closing(connect(replace(HERE, python=str(path)))) as connection, pytest.raises(IncompatibleError) as caught:
        probe(connection)
    assert str(path) in caught.value.what


def test_an_empty_file_is_uploaded(here: Connection) -> None:
    assert Path(upload(here, b"", "empty")).read_bytes() == b""


@pytest.mark.parametrize(
    "reply",
    [
        "", "noise", f"{MARK}", f"{MARK}{{", f"{MARK}[]", f"{MARK}null", f"{MARK}NaN", f"{MARK}{{}}",
        f"{MARK}" + 200 * "[",
        f'{MARK}{{"machine": 3}}', "\\0\\xff",
    ],
)  # fmt: skip
def test_an_invalid_reply_is_an_error_that_names_the_device(tmp_path: Path, reply: str) -> None:
    device = interpreter(tmp_path, f"print({reply!r}); sys.exit()")
    with closing(connect(device)) as connection:
        for command in (probe, clean, lambda connection: upload(connection, b"x", "x")):
            with pytest.raises(DataError, match="here sent an invalid reply"):
                command(connection)


def facts() -> dict[str, object]:
    with closing(connect(HERE)) as connection:
        return json.loads(json.dumps(probe(connection).to_json()))


def test_every_invalid_field_of_the_facts_is_a_data_error() -> None:
    valid = facts()
    assert Facts.from_json(valid).to_json() == json.loads(json.dumps(valid)) | {
        "python": tuple(valid["python"]), "interpreters": Facts.from_json(valid).to_json()["interpreters"],
    }  # fmt: skip
    for name in valid:
        for value in ([], {}, "x" if not isinstance(valid[name], str) else 3, -1, float("nan"), [None], [[[]]]):
            if name in ("board", "os") and value == "x":
                continue
            try:
                Facts.from_json({**valid, name: value})
            except EdgeferError:
                continue
            except Exception as error:  # noqa: BLE001
                pytest.fail(f"{name} = {value!r}: {error!r}")


def test_an_old_python_reports_its_version() -> None:
    code = "import sys; sys.version_info = (3, 6, 9); exec(sys.argv[1])"
    ended = subprocess.run([sys.executable, "-c", code, SCRIPT, "probe"], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (70, b"Python 3.6.9")
