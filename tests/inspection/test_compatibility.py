import pytest

from edgefer.inspection.compatibility import EDGETPU_OPS, TFLM_OPS, check_targets
from edgefer.inspection.flatbuffer import Model


@pytest.fixture
def judge(make):
    """Targets by name, of a model with these operators one after the other, on tensors of that type and shape."""

    def run(*ops, dtype: str = "int8", failure: str = "", subgraphs: int = 1, **tensor):
        tensors = [make.tensor(dtype, **tensor) for _ in range(len(ops) + 1)]
        tensors += [make.tensor("int8", (4, 8), constant=True, scales=4)]
        chain = []
        for index, op in enumerate(ops):
            name, changes = op if isinstance(op, tuple) else (op, {})
            inputs = (index, len(tensors) - 1) if name in ("CONV_2D", "FULLY_CONNECTED") else (index,)
            chain.append(make.op(name, inputs, (index + 1,), **changes))
        graph = make.graph(tensors, chain, (0,), (len(ops),))
        found = check_targets(Model("", None, (graph,) * subgraphs), runtime="litert 2.3.0", failure=failure)
        return {target.name: target for target in found}

    return run


def test_a_plain_int8_model_fits_everywhere(judge) -> None:
    found = judge("CONV_2D", "ADD", "FULLY_CONNECTED")
    assert {target.fits for target in found.values()} == {"yes"}
    assert [name for name, target in found.items() if target.obstacles] == []


def test_litert_is_believed(judge) -> None:
    found = judge("CONV_2D", failure="Didn't find op for builtin opcode")
    assert (found["litert"].fits, found["litert"].obstacles) == ("no", ("Didn't find op for builtin opcode",))


def test_an_operator_version_after_2_14(judge) -> None:
    target = judge(("FULLY_CONNECTED", {"version": 12}), ("FULLY_CONNECTED", {"version": 12}))["tflite_runtime"]
    assert (target.fits, target.obstacles) == ("no", ("FULLY_CONNECTED version 12 came with 2.17",))


def test_an_operator_version_that_nobody_knows(judge) -> None:
    assert "in no table" in judge(("ADD", {"version": 77}))["tflite_runtime"].obstacles[0]


def test_a_tensor_type_after_2_14(judge) -> None:
    assert "bfloat16" in judge("ADD", dtype="bfloat16")["tflite_runtime"].obstacles[0]


def test_a_custom_operator_stands_in_the_way_of_all_but_who_has_it(judge) -> None:
    found = judge(("FlexErf", {"custom": True}))
    for name in ("tflite_runtime", "edgetpu", "tflm"):
        assert found[name].fits == "no", name
        assert "FlexErf" in found[name].obstacles[0]


@pytest.mark.parametrize(
    ("op", "tensor", "obstacle"),
    [
        ("CONV_2D", {"dtype": "float32"}, "float32"),
        ("CONV_2D", {"dtype": "int16"}, "int16"),
        ("CONV_2D", {"dynamic": True}, "run time"),
        ("LEAKY_RELU", {}, "LEAKY_RELU is not among"),
        ("ADD", {"shape": (2, 3, 3, 8)}, "more than three dimensions"),
        (("MAX_POOL_2D", {"options": {"FusedActivationFunction": 1}}), {}, "fused"),
        (("FULLY_CONNECTED", {"version": 11}), {}, "2.15"),
    ],
)
def test_what_the_edge_tpu_does_not_take(judge, op, tensor, obstacle) -> None:
    target = judge(op, **tensor)["edgetpu"]
    assert target.fits == "no"
    assert obstacle in target.obstacles[0]


def test_the_edge_tpu_takes_what_comes_before_the_first_obstacle(judge) -> None:
    target = judge("CONV_2D", "ADD", "LEAKY_RELU", "ADD")["edgetpu"]
    assert (target.fits, len(target.obstacles)) == ("partly", 1)
    assert "first 2 operators map to it, the other 2" in target.notes[-1]


def test_a_compiled_model_is_recognised(judge) -> None:
    target = judge(("edgetpu-custom-op", {"custom": True}))["edgetpu"]
    assert target.fits == "yes"
    assert "already" in target.notes[0]


def test_the_edge_tpu_takes_one_subgraph(judge) -> None:
    assert "3 subgraphs" in judge("ADD", subgraphs=3)["edgetpu"].obstacles[0]


@pytest.mark.parametrize(
    ("op", "tensor", "obstacle"),
    [
        ("CONV_2D", {"dtype": "float32"}, "dynamic range"),
        ("CONV_2D", {"dtype": "uint8"}, "uint8"),
        ("ADD", {"dtype": "float16"}, "float16"),
        ("ADD", {"dynamic": True}, "run time"),
        ("POW", {}, "POW is not among"),
    ],
)
def test_what_microcontrollers_do_not_take(judge, op, tensor, obstacle) -> None:
    target = judge(op, **tensor)["tflm"]
    assert target.fits == "no"
    assert obstacle in target.obstacles[0]


def test_per_channel_dense_layers_come_with_a_warning(judge) -> None:
    assert "wrongly" in judge("FULLY_CONNECTED")["tflm"].notes[0]
    assert judge("ADD")["tflm"].notes == ()


def test_the_lists_name_operators_of_the_schema(litert) -> None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    assert {*EDGETPU_OPS.split(), *TFLM_OPS.split()} <= set(vars(BuiltinOperator))
