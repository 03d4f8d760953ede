import pytest

from edgefer.inspection.compatibility import EDGETPU_OPS, TFLM_OPS, check_targets
from edgefer.inspection.flatbuffer import Model


@pytest.fixture
def check_chain(make):
    """Return a function that checks a chain of operators on tensors of one type and shape, by target."""

    def run(*ops, dtype: str = "int8", failure: str = "", subgraphs: int = 1, **tensor):
        tensors = [make.tensor(dtype, **tensor) for _ in range(len(ops) + 1)]
        tensors += [make.tensor("int8", (4, 8), constant=True, scales=4)]
        chain = []
        for index, op in enumerate(ops):
            name, changes = op if isinstance(op, tuple) else (op, {})
            inputs = (index, len(tensors) - 1) if name in ("CONV_2D", "FULLY_CONNECTED") else (index,)
            chain.append(make.op(name, inputs, (index + 1,), **changes))
        graph = make.graph(tensors, chain, (0,), (len(ops),))
        targets = check_targets(Model("", None, (graph,) * subgraphs), runtime="litert 2.3.0", failure=failure)
        return {target.name: target for target in targets}

    return run


def test_plain_int8_model_runs_on_every_target(check_chain) -> None:
    targets = check_chain("CONV_2D", "ADD", "FULLY_CONNECTED")
    assert {target.fits for target in targets.values()} == {"yes"}
    assert [name for name, target in targets.items() if target.obstacles] == []


def test_failed_run_is_the_obstacle_for_litert(check_chain) -> None:
    targets = check_chain("CONV_2D", failure="Didn't find op for builtin opcode")
    assert (targets["litert"].fits, targets["litert"].obstacles) == ("no", ("Didn't find op for builtin opcode",))


def test_operator_version_newer_than_2_14_is_an_obstacle(check_chain) -> None:
    target = check_chain(("FULLY_CONNECTED", {"version": 12}), ("FULLY_CONNECTED", {"version": 12}))["tflite_runtime"]
    assert (target.fits, target.obstacles) == ("no", ("FULLY_CONNECTED version 12 needs TensorFlow Lite 2.17",))


def test_unknown_operator_version_is_an_obstacle(check_chain) -> None:
    assert "unknown to edgefer" in check_chain(("ADD", {"version": 77}))["tflite_runtime"].obstacles[0]


def test_tensor_type_newer_than_2_14_is_an_obstacle(check_chain) -> None:
    assert "bfloat16" in check_chain("ADD", dtype="bfloat16")["tflite_runtime"].obstacles[0]


def test_custom_operator_is_an_obstacle_except_for_litert(check_chain) -> None:
    targets = check_chain(("FlexErf", {"custom": True}))
    for name in ("tflite_runtime", "edgetpu", "tflm"):
        assert targets[name].fits == "no", name
        assert "FlexErf" in targets[name].obstacles[0]


@pytest.mark.parametrize(
    ("op", "tensor", "obstacle"),
    [
        ("CONV_2D", {"dtype": "float32"}, "float32"),
        ("CONV_2D", {"dtype": "int16"}, "int16"),
        ("CONV_2D", {"dynamic_dimensions": (1,)}, "run time"),
        ("LEAKY_RELU", {}, "LEAKY_RELU is not supported"),
        ("ADD", {"shape": (2, 3, 3, 8)}, "more than three dimensions"),
        (("MAX_POOL_2D", {"options": {"FusedActivationFunction": 1}}), {}, "fused"),
        (("FULLY_CONNECTED", {"version": 11}), {}, "2.15"),
    ],
)
def test_obstacles_for_the_edge_tpu(check_chain, op, tensor, obstacle) -> None:
    target = check_chain(op, **tensor)["edgetpu"]
    assert target.fits == "no"
    assert obstacle in target.obstacles[0]


def test_edge_tpu_runs_the_operators_before_the_first_obstacle(check_chain) -> None:
    target = check_chain("CONV_2D", "ADD", "LEAKY_RELU", "ADD")["edgetpu"]
    assert (target.fits, len(target.obstacles)) == ("partly", 1)
    assert "first 2 operators run on it, the other 2" in target.notes[-1]


def test_model_compiled_for_the_edge_tpu_is_recognized(check_chain) -> None:
    target = check_chain(("edgetpu-custom-op", {"custom": True}))["edgetpu"]
    assert target.fits == "yes"
    assert "already" in target.notes[0]


def test_edge_tpu_accepts_one_subgraph(check_chain) -> None:
    assert "3 subgraphs" in check_chain("ADD", subgraphs=3)["edgetpu"].obstacles[0]


@pytest.mark.parametrize(
    ("op", "tensor", "obstacle"),
    [
        ("CONV_2D", {"dtype": "float32"}, "dynamic-range"),
        ("CONV_2D", {"dtype": "uint8"}, "uint8"),
        ("ADD", {"dtype": "float16"}, "float16"),
        ("ADD", {"dynamic_dimensions": (1,)}, "run time"),
        ("POW", {}, "POW is not supported"),
    ],
)
def test_obstacles_for_tensorflow_lite_micro(check_chain, op, tensor, obstacle) -> None:
    target = check_chain(op, **tensor)["tflm"]
    assert target.fits == "no"
    assert obstacle in target.obstacles[0]


def test_tensorflow_lite_micro_runs_a_dynamic_batch_as_batch_1(check_chain) -> None:
    target = check_chain("ADD", dynamic_dimensions=(0,))["tflm"]
    assert (target.fits, target.obstacles) == ("yes", ())
    assert target.notes[0].startswith("with batch 1:")
    assert check_chain("ADD")["tflm"].notes == ()


def test_negative_size_in_the_shape_is_an_obstacle_for_tensorflow_lite_micro(check_chain) -> None:
    assert check_chain("ADD", shape=(-1, 8), dynamic_dimensions=(0,))["tflm"].fits == "no"


def test_reshape_to_a_size_that_the_data_decide_is_an_obstacle_for_tensorflow_lite_micro(make) -> None:
    shapes = (1, 4, 8), (1, 8)
    tensors = [make.tensor(shape=shape, dynamic_dimensions=(0,)) for shape in shapes]
    graph = make.graph(tensors, [make.op("RESHAPE", (0,), (1,))], (0,), (1,))
    (target,) = [target for target in check_targets(Model("", None, (graph,)), runtime="") if target.name == "tflm"]
    assert target.obstacles == ("shapes are decided at run time",)


def test_per_channel_dense_layers_have_a_note(check_chain) -> None:
    assert "wrong results" in check_chain("FULLY_CONNECTED")["tflm"].notes[0]
    assert check_chain("ADD")["tflm"].notes == ()


def test_listed_operators_exist_in_the_schema(litert) -> None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    assert {*EDGETPU_OPS.split(), *TFLM_OPS.split()} <= set(vars(BuiltinOperator))
