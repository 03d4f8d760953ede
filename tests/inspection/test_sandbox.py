import importlib
import importlib.metadata
import json
from pathlib import Path

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.inspection.flatbuffer import SCHEMA
from edgefer.inspection.inspector import inspect_in_process
from edgefer.inspection.sandbox import inspect_in_subprocess
from edgefer.models import SHIPPED

DATA = Path(__file__).parents[1] / "fixtures"


def test_subprocess_gives_the_same_result(litert) -> None:
    assert json.dumps(inspect_in_subprocess(SHIPPED).to_json()) == json.dumps(inspect_in_process(SHIPPED).to_json())


def test_file_that_crashes_the_runtime_is_reported_with_the_signal(litert, tmp_path: Path, crashing_artifact) -> None:
    path = tmp_path / "model.tflite"
    crashing_artifact.save(path)
    with pytest.raises(DataError, match=r"model\.tflite cannot be inspected: the runtime crashed with SIG") as caught:
        inspect_in_subprocess(path)
    assert caught.value.hint


def test_file_that_may_crash_the_runtime_is_reported(litert, tmp_path: Path) -> None:
    content = bytearray((DATA / "tiny-float32.tflite").read_bytes())
    # LiteRT 2.3 verifies this file and then reads outside its memory, so a crash depends on the memory layout.
    content[6416], content[7972] = content[7972], content[6416]
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    try:
        assert inspect_in_subprocess(path).parameters > 0
    except DataError as error:
        assert "crashed with SIG" in error.why  # noqa: PT017 - both outcomes are correct


@pytest.mark.parametrize("content", [b"", b"hello", bytes(4096), b"\x1c\0\0\0TFL3" + b"\xff" * 500])
def test_file_that_is_not_a_model_is_reported(litert, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a TensorFlow Lite model"):
        inspect_in_subprocess(path)


def test_truncated_model_is_reported_as_damaged(litert, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes((DATA / "tiny-int8.tflite").read_bytes()[:3000])
    with pytest.raises(DataError, match="or a damaged one"):
        inspect_in_subprocess(path)


def test_facts_that_no_model_has_are_reported_as_damage(litert, tmp_path: Path, with_op_version) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_op_version((DATA / "tiny-int8.tflite").read_bytes(), -5))
    with pytest.raises(DataError, match=r"model\.tflite cannot be inspected: ops\[0\]\.version is -5") as caught:
        inspect_in_subprocess(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["nowhere.tflite", "."])
def test_missing_file_and_folder_are_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not a model file"):
        inspect_in_subprocess(tmp_path / name)


def test_time_limit_is_reported(litert) -> None:
    with pytest.raises(DataError, match="more than 0.05 s") as caught:
        inspect_in_subprocess(SHIPPED, timeout_s=0.05)
    assert "--timeout" in caught.value.hint


def test_memory_limit_is_reported(litert, tmp_path: Path) -> None:
    schema = importlib.import_module(SCHEMA)
    content = bytearray((DATA / "tiny-int8.tflite").read_bytes())
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    # The array is a view of the bytes. The activations of an input of 20,000 x 20,000 exceed the limit.
    graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[1:3] = 20_000
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    inspection = inspect_in_subprocess(path)
    assert "may exceed the memory limit" in inspection.first_run
    assert inspection.target("litert").fits == "no"


def test_memory_limit_below_the_need_of_python_is_reported(litert) -> None:
    with pytest.raises(DataError, match="needs more than 1 MiB") as caught:
        inspect_in_subprocess(SHIPPED, memory_bytes=2**20)
    assert "--memory" in caught.value.hint


def test_missing_litert_error_has_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    with pytest.raises(IncompatibleError, match="LiteRT is not installed") as caught:
        inspect_in_subprocess(SHIPPED)
    assert caught.value.hint.startswith("pip install ai-edge-litert")
