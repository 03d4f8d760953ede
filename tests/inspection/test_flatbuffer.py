import struct
import sys

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.inspection.flatbuffer import SCHEMA, read_model
from edgefer.models import SHIPPED


def test_operators_are_in_execution_order(tiny) -> None:
    for scheme, versions in (("int8", [3, 3, 2, 4]), ("float32", [1, 1, 1, 1])):
        ops = tiny[scheme].main.ops
        assert [op.name for op in ops] == ["CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]
        assert [op.version for op in ops] == versions
        assert not any(op.custom for op in ops)


def test_inputs_and_outputs_have_shape_dtype_and_scale(tiny) -> None:
    graph = tiny["int8"].main
    (source,), (result,) = graph.inputs, graph.outputs
    assert (graph.tensors[source].shape, graph.tensors[source].dtype) == ((1, 48, 48, 1), "int8")
    assert graph.tensors[source].scale == pytest.approx(1 / 255)
    assert graph.tensors[source].zero_point == -128
    assert graph.tensors[result].shape == (1, 7)
    assert not graph.tensors[source].constant
    assert not graph.tensors[source].dynamic


def test_float_tensors_have_no_scale(tiny) -> None:
    assert {(tensor.scales, tensor.scale) for tensor in tiny["float32"].main.tensors} == {(0, None)}


def test_convolution_weights_have_a_scale_per_channel(tiny) -> None:
    graph = tiny["int8"].main
    weights = graph.input(graph.ops[0], 1)
    assert (weights.shape, weights.scales, weights.constant, weights.size_bytes) == ((8, 3, 3, 1), 8, True, 72)
    assert graph.input(graph.ops[0], 9) is None


def test_description_and_declared_runtime_are_read(tiny) -> None:
    assert tiny["int8"].description == "MLIR Converted."
    assert tiny["int8"].declared_runtime == "1.14.0"


def test_bytes_after_the_flatbuffer_are_ignored(shipped) -> None:
    content = SHIPPED.read_bytes()
    assert read_model(content[: content.index(b"PK\x03\x04")]) == shipped


@pytest.mark.parametrize(("dtype", "size"), [("int8", 6), ("int4", 3), ("float16", 12), ("bool", 6), ("string", None)])
def test_size_follows_from_shape_and_dtype(make, dtype: str, size: int | None) -> None:
    assert make.tensor(dtype, (2, 3)).size_bytes == size


def test_tensor_with_an_unknown_dimension_has_no_size(make) -> None:
    assert make.tensor("int8", (-1, 3)).size_bytes is None


def test_invalid_offset_is_rejected(litert) -> None:
    for root in (0x7FFFFFF0, 0xFFFFFFFF):
        with pytest.raises(DataError, match="is damaged"):
            read_model(struct.pack("<I", root) + b"TFL3" + bytes(100))


def test_model_without_a_graph_is_rejected(litert) -> None:
    # The vtable of the root table has no fields.
    with pytest.raises(DataError, match="no graph"):
        read_model(struct.pack("<I4sHHi", 12, b"TFL3", 4, 4, 4) + bytes(16))


def test_missing_schema_error_has_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, SCHEMA, None)
    with pytest.raises(IncompatibleError, match="schema") as caught:
        read_model(b"")
    assert caught.value.hint == "pip install ai-edge-litert"
