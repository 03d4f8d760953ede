import pytest

from edgefer.deploy.tflm import micro_requirements
from edgefer.errors import IncompatibleError
from edgefer.inspection.compatibility import TFLM_OPS
from edgefer.inspection.flatbuffer import Model

# Reported by the wheel tflite-micro 0.dev20261023182759 for these files on x86_64:
# Interpreter.from_bytes(model, arena_size=3_000_000).print_allocations(), "head" and "total".
HEAD_BYTES = {"small-1": 147_456, "int8": 6_912, "float32": 27_648}
TOTAL_BYTES = {"small-1": 159_840, "int8": 8_768, "float32": 29_440}


@pytest.fixture
def models(tiny, small_1):
    return {"small-1": small_1, **tiny}


def one_operator(make, name, *, dtype="int8"):
    """Return a model with one operator."""
    return Model("", None, (make.graph([make.tensor(dtype)] * 2, [make.op(name, (0,), (1,))], (0,), (1,)),))


@pytest.mark.parametrize("name", HEAD_BYTES)
def test_plan_equals_that_of_tensorflow_lite_micro(models, name):
    assert micro_requirements(models[name]).planned_bytes == HEAD_BYTES[name]


@pytest.mark.parametrize("name", TOTAL_BYTES)
def test_arena_is_large_enough_with_little_headroom(models, name):
    requirements = micro_requirements(models[name])
    assert TOTAL_BYTES[name] <= requirements.planned_bytes + requirements.persistent_bytes <= requirements.arena_bytes
    assert requirements.arena_bytes <= TOTAL_BYTES[name] * 1.05 + 3 * 1024
    assert requirements.arena_bytes % 1024 == 0


def test_operators_have_the_names_of_the_resolver_without_duplicates(small_1):
    assert micro_requirements(small_1).operators == ("Conv2D", "Add", "Mean", "FullyConnected")


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("L2_NORMALIZATION", "L2Normalization"), ("PADV2", "PadV2"), ("BATCH_MATMUL", "BatchMatMul"),
        ("SPACE_TO_BATCH_ND", "SpaceToBatchNd"), ("RELU6", "Relu6"), ("REVERSE_V2", "ReverseV2"),
        ("CUMSUM", "CumSum"), ("HARD_SWISH", "HardSwish"), ("AVERAGE_POOL_2D", "AveragePool2D"), ("ADD_N", "AddN"),
    ],
)  # fmt: skip
def test_names_of_resolver_functions(make, operator, function):
    assert micro_requirements(one_operator(make, operator)).operators == (function,)


@pytest.mark.parametrize("operator", TFLM_OPS.split())
def test_every_supported_operator_has_a_valid_identifier(make, operator):
    (function,) = micro_requirements(one_operator(make, operator)).operators
    assert function.isalnum()
    assert function[0].isupper()


def test_unsupported_model_is_refused_with_every_obstacle(make):
    tensors = [make.tensor(), make.tensor(), make.tensor("float16")]
    ops = [make.op("TILE", (0,), (1,)), make.op("DEQUANTIZE", (2,), (1,))]
    with pytest.raises(IncompatibleError, match="TILE is not supported; DEQUANTIZE on float16") as caught:
        micro_requirements(Model("", None, (make.graph(tensors, ops, (0, 2), (1,)),)))
    assert "edgefer quantize --int8" in str(caught.value)


def test_second_subgraph_is_refused(make):
    (graph,) = one_operator(make, "RELU").subgraphs
    with pytest.raises(IncompatibleError, match="2 subgraphs"):
        micro_requirements(Model("", None, (graph, graph)))


def test_memory_of_an_input_is_reused_and_of_an_output_is_not(make):
    # 0 -> 1 -> 2 -> 3, all of one size: two at a time suffice, unless 1 is also an output.
    tensors = [make.tensor(shape=(1, 64)) for _ in range(4)]
    ops = [make.op("RELU", (index,), (index + 1,)) for index in range(3)]
    assert micro_requirements(Model("", None, (make.graph(tensors, ops, (0,), (3,)),))).planned_bytes == 128
    assert micro_requirements(Model("", None, (make.graph(tensors, ops, (0,), (1, 3)),))).planned_bytes == 192
