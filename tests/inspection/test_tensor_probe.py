from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.errors import IncompatibleError
from edgefer.inference.interpreters import run_faces
from edgefer.inference.runtime import select_runtime
from edgefer.inspection import tensor_probe
from edgefer.inspection.flatbuffer import Model
from edgefer.inspection.tensor_probe import list_layers, probe_tensors
from edgefer.models import SHIPPED

DATA = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def model(litert) -> bytes:
    return Artifact.load(SHIPPED).model


def test_layers_are_the_operators_in_execution_order(model: bytes) -> None:
    layers = list_layers(model)
    assert [layer.op for layer in layers] == list(range(len(layers)))
    assert (layers[0].name, layers[-1].name) == ("CONV_2D", "FULLY_CONNECTED")
    assert layers[0].tensor_name


def test_probe_changes_only_the_index_of_the_output(model: bytes) -> None:
    first = list_layers(model)[0]
    probed = probe_tensors(model, first.tensor)
    changed = [place for place in range(len(model)) if model[place] != probed[place]]
    assert len(probed) == len(model)
    assert 1 <= len(changed) <= 4
    assert changed[-1] - changed[0] < 4
    last = list_layers(model)[-1]
    assert probe_tensors(model, last.tensor) == model


def test_probed_layers_equal_the_tensors_that_the_interpreter_preserves(litert, model: bytes) -> None:
    # LiteRT preserves intermediate tensors only with kernels outside a delegate.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = litert.Interpreter(
            model_content=model,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
    interpreter.allocate_tensors()
    face = Artifact.load(SHIPPED).golden.inputs[:1]
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], (face.astype(np.int16) - 128).astype(np.int8)[..., None]
    )
    interpreter.invoke()
    for layer in list_layers(model):
        runtime = select_runtime("litert").open_model(probe_tensors(model, layer.tensor), kernels="reference")
        preserved = interpreter.get_tensor(layer.tensor)
        assert runtime.output.shape == preserved.shape
        assert np.array_equal(run_faces(runtime, face)[0], preserved.reshape(-1)), layer


@pytest.mark.parametrize("kernels", ["default", "builtin"])
def test_delegate_returns_every_probed_layer(kernels: str, model: bytes, shipped: Model) -> None:
    face = Artifact.load(SHIPPED).golden.inputs[:1]
    for layer in list_layers(model):
        runtime = select_runtime("litert").open_model(probe_tensors(model, layer.tensor), kernels=kernels)
        outputs = run_faces(runtime, face)
        assert outputs.size == shipped.main.tensors[layer.tensor].elements
        assert len(np.unique(outputs)) > 3, layer


def test_operators_that_do_not_depend_on_the_input_are_not_layers(monkeypatch: pytest.MonkeyPatch, make) -> None:
    tensors = [make.tensor(name=name) for name in ("face", "packed", "weights", "sum")]
    ops = [make.op("DEQUANTIZE", (1,), (2,)), make.op("ADD", (0, 2), (3,)), make.op("ASSIGN_VARIABLE", (3,), ())]
    graph_only = Model("", None, (make.graph(tensors, ops, (0,), (3,)),))
    monkeypatch.setattr(tensor_probe, "read_model", lambda model: graph_only)
    assert [(layer.op, layer.name, layer.tensor_name) for layer in list_layers(b"")] == [(1, "ADD", "sum")]


def test_model_with_two_outputs_is_rejected(litert) -> None:
    with pytest.raises(IncompatibleError, match="2 outputs"):
        probe_tensors((DATA / "two-inputs.tflite").read_bytes(), 0)
