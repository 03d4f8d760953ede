import pytest

from edgefer.deploy.tflm import micro_needs
from edgefer.errors import IncompatibleError
from edgefer.inspection.compatibility import TFLM_OPS
from edgefer.inspection.flatbuffer import Model

# What the wheel tflite-micro 0.dev20261023182759 reports for these files, on x86_64:
# Interpreter.from_bytes(model, arena_size=3_000_000).print_allocations(), "head" and "total".
HEAD_BYTES = {"shipped": 147_456, "int8": 6_912, "float32": 27_648}
TOTAL_BYTES = {"shipped": 159_840, "int8": 8_768, "float32": 29_440}


@pytest.fixture
def anatomies(tiny, shipped):
    return {"shipped": shipped, **tiny}


def alone(make, name, *, dtype="int8"):
    """A graph of one operator."""
    return Model("", None, (make.graph([make.tensor(dtype)] * 2, [make.op(name, (0,), (1,))], (0,), (1,)),))


@pytest.mark.parametrize("name", HEAD_BYTES)
def test_the_plan_is_that_of_tensorflow_lite_micro(anatomies, name):
    assert micro_needs(anatomies[name]).planned_bytes == HEAD_BYTES[name]


@pytest.mark.parametrize("name", TOTAL_BYTES)
def test_the_arena_is_enough_and_not_much_more(anatomies, name):
    needs = micro_needs(anatomies[name])
    assert TOTAL_BYTES[name] <= needs.planned_bytes + needs.kept_bytes <= needs.arena_bytes
    assert needs.arena_bytes <= TOTAL_BYTES[name] * 1.05 + 3 * 1024
    assert needs.arena_bytes % 1024 == 0


def test_operators_are_named_once_as_the_resolver_names_them(shipped):
    assert micro_needs(shipped).operators == ("Conv2D", "Add", "Mean", "FullyConnected")


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("L2_NORMALIZATION", "L2Normalization"), ("PADV2", "PadV2"), ("BATCH_MATMUL", "BatchMatMul"),
        ("SPACE_TO_BATCH_ND", "SpaceToBatchNd"), ("RELU6", "Relu6"), ("REVERSE_V2", "ReverseV2"),
        ("CUMSUM", "CumSum"), ("HARD_SWISH", "HardSwish"), ("AVERAGE_POOL_2D", "AveragePool2D"), ("ADD_N", "AddN"),
    ],
)  # fmt: skip
def test_names_of_functions(make, operator, function):
    assert micro_needs(alone(make, operator)).operators == (function,)


@pytest.mark.parametrize("operator", TFLM_OPS.split())
def test_every_operator_that_fits_has_an_identifier(make, operator):
    (function,) = micro_needs(alone(make, operator)).operators
    assert function.isalnum()
    assert function[0].isupper()


def test_what_it_cannot_run_is_refused_with_every_obstacle(make):
    tensors = [make.tensor(), make.tensor(), make.tensor("float16")]
    ops = [make.op("TILE", (0,), (1,)), make.op("DEQUANTIZE", (2,), (1,))]
    with pytest.raises(IncompatibleError, match="TILE is not among its operators; DEQUANTIZE on float16") as caught:
        micro_needs(Model("", None, (make.graph(tensors, ops, (0, 2), (1,)),)))
    assert "edgefer quantize --int8" in str(caught.value)


def test_a_second_graph_is_refused(make):
    (graph,) = alone(make, "RELU").subgraphs
    with pytest.raises(IncompatibleError, match="2 subgraphs"):
        micro_needs(Model("", None, (graph, graph)))


def test_an_input_gives_up_its_place_and_an_output_does_not(make):
    # 0 -> 1 -> 2 -> 3, all of one size: two at a time are enough, unless 1 is an output too.
    tensors = [make.tensor(shape=(1, 64)) for _ in range(4)]
    ops = [make.op("RELU", (each,), (each + 1,)) for each in range(3)]
    assert micro_needs(Model("", None, (make.graph(tensors, ops, (0,), (3,)),))).planned_bytes == 128
    assert micro_needs(Model("", None, (make.graph(tensors, ops, (0,), (1, 3)),))).planned_bytes == 192
