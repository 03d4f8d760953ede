import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.inspection.flatbuffer import SCHEMA
from edgefer.inspection.inspector import inspect_in_process
from edgefer.inspection.sandbox import MEMORY_BYTES, _crash, inspect_in_subprocess
from edgefer.models import SHIPPED
from edgefer.processes import ChildResult

DATA = Path(__file__).parents[1] / "fixtures"
MUTATE = Path(__file__).parents[1] / "tools" / "mutate_models.py"


def test_apart_and_here_agree(litert) -> None:
    assert json.dumps(inspect_in_subprocess(SHIPPED).to_json()) == json.dumps(inspect_in_process(SHIPPED).to_json())


def test_a_child_that_crashes_is_a_message(litert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DataError, match="crashed with SIGSEGV while starting"):
        inspect_in_subprocess(SHIPPED)


def test_a_file_that_may_crash_the_runtime_is_survived(litert, tmp_path: Path) -> None:
    content = bytearray((DATA / "tiny-float32.tflite").read_bytes())
    # Found by tests/tools/mutate_models.py: LiteRT 2.3 verifies this file and reads what is not its own, which ends
    # with SIGSEGV or does not, as memory happens to lie.
    content[6416], content[7972] = content[7972], content[6416]
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    try:
        assert inspect_in_subprocess(path).parameters > 0
    except DataError as error:
        assert "crashed with SIG" in error.why  # noqa: PT017 - either is right


@pytest.mark.parametrize("content", [b"", b"hello", bytes(4096), b"\x1c\0\0\0TFL3" + b"\xff" * 500])
def test_what_is_no_model_is_told_in_one_sentence(litert, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a TensorFlow Lite model"):
        inspect_in_subprocess(path)


def test_a_truncated_model_is_a_damaged_one(litert, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes((DATA / "tiny-int8.tflite").read_bytes()[:3000])
    with pytest.raises(DataError, match="or a damaged one"):
        inspect_in_subprocess(path)


@pytest.mark.parametrize("name", ["nowhere.tflite", "."])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not a model file"):
        inspect_in_subprocess(tmp_path / name)


def test_time_that_is_up_is_told(litert) -> None:
    with pytest.raises(DataError, match="more than 0.05 s") as caught:
        inspect_in_subprocess(SHIPPED, timeout_s=0.05)
    assert "--timeout" in caught.value.hint


def test_memory_that_ran_out_is_told(litert, tmp_path: Path) -> None:
    schema = importlib.import_module(SCHEMA)
    content = bytearray((DATA / "tiny-int8.tflite").read_bytes())
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    # A view of the bytes: an input of 20,000 x 20,000, whose activations are more than the limit.
    graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[1:3] = 20_000
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    found = inspect_in_subprocess(path, memory_bytes=MEMORY_BYTES)
    assert "may exceed the memory limit" in found.first_run
    assert found.target("litert").fits == "no"


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (ChildResult(-11, ""), "SIGSEGV while running"),
        (ChildResult(-6, "terminate called"), "SIGABRT while running"),
        (ChildResult(1, "Traceback\nMemoryError"), "wanted more than 1,024 MiB"),
        (ChildResult(1, "Traceback\nKeyError: 3"), "ended with KeyError: 3"),
        (ChildResult(-9, "", timed_out=True), "more than 60 s"),
    ],
)
def test_whatever_becomes_of_the_child_is_a_sentence(ended: ChildResult, words: str) -> None:
    error = _crash(Path("model.tflite"), ended, stage="running", timeout_s=60, memory_bytes=MEMORY_BYTES)
    assert words in error.why
    assert error.hint


def test_without_litert_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    with pytest.raises(IncompatibleError, match="LiteRT is not installed") as caught:
        inspect_in_subprocess(SHIPPED)
    assert caught.value.hint.startswith("pip install ai-edge-litert")


@pytest.mark.slow
def test_damaged_files_neither_crash_nor_hang_it(litert) -> None:
    models = [SHIPPED, *sorted(DATA.glob("*.tflite"))]
    done = subprocess.run(
        [sys.executable, MUTATE, "--count", "300", "--first", "20000", *models],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 mutants, 0 failed" in done.stdout
