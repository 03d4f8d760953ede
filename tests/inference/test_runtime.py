from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from edgefer import plugins
from edgefer.contract.artifact import Artifact
from edgefer.errors import IncompatibleError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.runtime import RUNTIMES, InterpreterRuntime, require_classifier, select_runtime
from edgefer.inference.runtimes import litert, tensorflow, tflite_runtime

MODULES = [plugins.load(RUNTIMES, name) for name in plugins.names(RUNTIMES)]
NUMPY_2 = int(np.__version__.split(".")[0]) >= 2


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def module(request: pytest.FixtureRequest):
    """Return each runtime that is installed and works with this numpy."""
    if request.param.available() is None:
        pytest.skip("not installed")
    if request.param is tflite_runtime and NUMPY_2:
        pytest.skip("tflite-runtime needs numpy 1")
    return request.param


def test_tensor_specs_come_from_the_model(module, artifact: Artifact) -> None:
    runtime = module.open_model(artifact.model)
    assert runtime.input.shape == (1, 48, 48, 1)
    assert runtime.output.shape == (1, 7)
    assert runtime.input.params.dtype == runtime.output.params.dtype == artifact.scheme
    assert runtime.input.params.is_quantized == (artifact.scheme == "int8")
    assert runtime.version == module.available()


def test_int8_input_is_scaled_by_255(module, int8_artifact: Artifact) -> None:
    params = module.open_model(int8_artifact.model).input.params
    assert params.scale == pytest.approx(1 / 255, rel=1e-6)
    assert params.zero_point == -128


@pytest.mark.parametrize("kernels", ["default", "builtin", "reference"])
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_and_threads_pass_the_golden_vectors(module, artifact: Artifact, kernels: str, threads: int) -> None:
    runtime = module.open_model(artifact.model, threads=threads, kernels=kernels)
    assert Classifier(artifact, runtime).replay() <= artifact.golden.tolerance


def test_later_runs_do_not_change_an_output(module, artifact: Artifact) -> None:
    runtime = module.open_model(artifact.model)
    runtime.set_input(np.zeros(runtime.input.shape, runtime.input.params.dtype))
    runtime.invoke()
    first = runtime.get_output()
    copy = first.copy()
    runtime.set_input(np.ones(runtime.input.shape, runtime.input.params.dtype))
    runtime.invoke()
    assert (first == copy).all()
    assert not (runtime.get_output() == copy).all()


def test_an_unknown_op_version_is_reported_with_the_message_of_the_runtime(
    module, int8_artifact: Artifact, with_op_version: Callable[[bytes, int], bytes]
) -> None:
    with pytest.raises(IncompatibleError, match=r"cannot load the model: .*version.* '?99'?") as caught:
        module.open_model(with_op_version(int8_artifact.model, 99))
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.why


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\0" * 4096])
def test_files_that_are_not_models_are_rejected(module, content: bytes) -> None:
    with pytest.raises(IncompatibleError, match="TFL3") as caught:
        module.open_model(content)
    assert caught.value.hint


def test_litert_rejects_a_truncated_model(int8_artifact: Artifact) -> None:
    if litert.available() is None:
        pytest.skip("not installed")
    with pytest.raises(IncompatibleError, match="Flatbuffer"):
        litert.open_model(int8_artifact.model[:2000])


@pytest.mark.parametrize(
    ("setting", "value"), [("threads", 0), ("threads", 10**5), ("threads", 10**20), ("kernels", "fast")]
)
def test_invalid_threads_and_kernels_are_rejected(module, int8_artifact: Artifact, setting: str, value: object) -> None:
    with pytest.raises(UsageError, match=str(value)):
        module.open_model(int8_artifact.model, **{setting: value})


@pytest.mark.skipif(not NUMPY_2, reason="numpy 1")
def test_tflite_runtime_rejects_numpy_2(int8_artifact: Artifact) -> None:
    with pytest.raises(IncompatibleError, match="numpy") as caught:
        tflite_runtime.open_model(int8_artifact.model)
    assert caught.value.hint == 'pip install "numpy>=1.26.4,<2"'


@pytest.mark.parametrize("name", [None, "auto"])
def test_auto_prefers_litert(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"ai-edge-litert": "2.3.0", "tflite-runtime": "2.14.0"}
    monkeypatch.setattr(importlib.metadata, "version", installed.__getitem__)
    assert select_runtime(name) is litert


def _not_installed(*names: str):
    def version(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.14.0"

    return version


def test_auto_selects_an_installed_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", _not_installed("ai-edge-litert"))
    assert select_runtime("auto") is tflite_runtime


def test_auto_selects_tensorflow_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", _not_installed("ai-edge-litert", "tflite-runtime"))
    assert select_runtime("auto") is tensorflow


def test_the_hint_without_a_runtime_is_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", _not_installed("ai-edge-litert", "tflite-runtime", "tensorflow"))
    with pytest.raises(IncompatibleError) as caught:
        select_runtime(None)
    assert caught.value.hint == "pip install ai-edge-litert"


def test_a_named_runtime_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", _not_installed("tflite-runtime"))
    with pytest.raises(IncompatibleError, match="tflite_runtime is not installed") as caught:
        select_runtime("tflite_runtime")
    assert "tflite-runtime==2.14.0" in caught.value.hint


def test_an_unknown_runtime_is_rejected_with_the_list_of_names() -> None:
    with pytest.raises(UsageError, match="litert, tensorflow, tflite_runtime"):
        select_runtime("onnx")


def test_models_without_an_output_are_rejected() -> None:
    class NoOutput:
        def get_input_details(self) -> list[dict[str, object]]:
            return [{}]

        def get_output_details(self) -> list[dict[str, object]]:
            return []

    with pytest.raises(IncompatibleError, match="1 inputs and 0 outputs"):
        InterpreterRuntime(NoOutput(), name="litert", version="2.3.0")


def test_of_several_inputs_and_outputs_the_image_and_the_scores_are_used() -> None:
    def details(name: str, index: int, *shape: int) -> dict[str, object]:
        return {"name": name, "index": index, "shape": shape, "dtype": np.float32, "quantization": (0.0, 0)}

    class Several:
        def __init__(self) -> None:
            self.set: dict[int, npt.NDArray[np.float32]] = {}

        def get_input_details(self) -> list[dict[str, object]]:
            return [details("age", 3, 1, 5), details("face", 4, 1, 8, 8, 1), details("eyes", 5, 1, 4, 4, 1)]

        def get_output_details(self) -> list[dict[str, object]]:
            return [details("box", 6, 1, 1), details("scores", 7, 1, 3)]

        def set_tensor(self, index: int, values: npt.NDArray[np.float32]) -> None:
            self.set[index] = values

        def get_tensor(self, index: int) -> int:
            return index

        def invoke(self) -> None: ...

    interpreter = Several()
    runtime = InterpreterRuntime(interpreter, name="litert", version="2.3.0")
    assert (runtime.input.shape, runtime.output.shape) == ((1, 8, 8, 1), (1, 3))
    assert runtime.others == ("age", "eyes", "box")
    assert {index: values.shape for index, values in interpreter.set.items()} == {3: (1, 5), 5: (1, 4, 4, 1)}
    assert not any(values.any() for values in interpreter.set.values())
    assert runtime.get_output() == 7
    with pytest.raises(IncompatibleError, match="several inputs or outputs") as refused:
        require_classifier(runtime)
    assert "age, eyes, box" in str(refused.value)
