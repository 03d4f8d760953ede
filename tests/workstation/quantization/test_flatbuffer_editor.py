import dataclasses

import numpy as np
import pytest

from edgefer import plugins
from edgefer.contract.artifact import Artifact
from edgefer.inference.interpreters import installed_runtimes, run_model
from edgefer.inspection.flatbuffer import read_model
from edgefer.inspection.inspector import inspect_in_process
from edgefer.inspection.tensor_probe import list_layers, probe_tensors
from edgefer.results.parity import Configuration
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer, compact
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions
from edgefer.workstation.quantization.sensitivity import layer_errors


@pytest.fixture(scope="module")
def model(small_network):
    return convert(small_network)


def layers_of(network):
    return [(op.kind, op.layer) for op in Flatbuffer(convert(network)).ops]


def test_operators_are_named_after_their_layers(model):
    graph = Flatbuffer(model)
    assert [(op.kind, op.layer, op.weighted) for op in graph.ops] == [
        ("CONV_2D", "conv", True), ("CONV_2D", "conv_b", True), ("MEAN", "average", False),
        ("FULLY_CONNECTED", "logits", True),
    ]  # fmt: skip
    assert graph.name(graph.ops[0].inputs[1]) == "conv/weights"


def test_a_number_at_the_end_of_a_layer_name_is_kept(build):
    def body(layers, face):
        x = layers.Conv2D(4, 3, strides=4, name="conv_1")(face)
        x = layers.Conv2D(4, 3, name="conv_2")(x)
        return layers.Dense(7, name="logits_3")(layers.Flatten(name="flat_1")(x))

    assert [layer for _, layer in layers_of(build(body))] == ["conv_1", "conv_2", "flat_1", "logits_3"]


def test_a_dense_layer_on_an_image_has_its_own_name(build):
    def body(layers, face):
        x = layers.Dense(4, activation="relu", name="mix")(layers.Conv2D(4, 3, strides=4, name="conv")(face))
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    assert ("FULLY_CONNECTED", "mix") in layers_of(build(body))


def test_layers_with_a_batch_normalization_have_their_own_names(build):
    def body(layers, face):
        x = layers.Conv2D(4, 3, strides=2, activation="elu", name="conv")(face)
        x = layers.BatchNormalization(name="norm_0")(x)
        for number in (1, 2):
            x = layers.DepthwiseConv2D(3, strides=2, name=f"depthwise_{number}")(x)
            x = layers.BatchNormalization(name=f"norm_{number}")(x)
            x = layers.ReLU(name=f"relu_{number}")(x)
        x = layers.SeparableConv2D(8, 3, name="separable_conv2d")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    network = build(body)
    for layer in network.layers:
        if layer.name.startswith("norm"):
            layer.set_weights([values + 0.5 for values in layer.get_weights()])
    assert layers_of(network) == [
        ("CONV_2D", "conv"), ("ELU", "conv"), ("MUL", "norm_0"), ("ADD", "norm_0"),
        ("DEPTHWISE_CONV_2D", "depthwise_1"), ("DEPTHWISE_CONV_2D", "depthwise_2"),
        ("DEPTHWISE_CONV_2D", "separable_conv2d"), ("CONV_2D", "separable_conv2d"), ("MEAN", "average"),
        ("FULLY_CONNECTED", "logits"),
    ]  # fmt: skip


def test_both_operators_of_a_layer_have_its_name(build):
    def body(layers, face):
        x = layers.Conv2D(4, 3, strides=4, activation="sigmoid", name="conv")(face)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    assert layers_of(build(body))[:2] == [("CONV_2D", "conv"), ("LOGISTIC", "conv")]


def test_names_of_tensors_are_unique_and_survive_a_second_naming(model):
    graph = Flatbuffer(model)
    names = [graph.name(index) for op in graph.ops for index in {*op.inputs, *op.outputs} if index >= 0]
    produced = [graph.name(op.outputs[0]) for op in graph.ops]
    assert len(set(produced)) == len(produced)
    graph.name_after_layers()
    assert [graph.name(index) for op in graph.ops for index in {*op.inputs, *op.outputs} if index >= 0] == names


def test_changed_values_are_read_back(model):
    graph = Flatbuffer(model)
    weights = graph.ops[1].inputs[1]
    doubled = 2 * graph.values(weights)
    graph.set_values(weights, doubled)
    again = Flatbuffer(graph.to_bytes())
    assert np.array_equal(again.values(weights), doubled)
    assert again.dtype(weights) == "float32"
    assert np.array_equal(again.values(graph.ops[0].inputs[1]), Flatbuffer(model).values(graph.ops[0].inputs[1]))


def test_a_shared_constant_is_changed_for_one_tensor_only(build, drawn):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, activation="relu", name="conv")(face)
        x = layers.Conv2D(8, 3, activation="relu", name="conv_b")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    network = build(body)
    for name in ("conv", "conv_b"):
        weights, bias = network.get_layer(name).get_weights()
        network.get_layer(name).set_weights([weights, 0 * bias])
    plain = Calibrator(convert(network), drawn).quantize(QuantizationOptions(rounding="nearest", bias_correction=False))
    graph = Flatbuffer(plain)
    first, second = (op.inputs[2] for op in graph.ops[:2])
    assert not graph.values(first).any()
    graph.set_values(first, np.arange(8))
    again = Flatbuffer(graph.to_bytes())
    assert again.values(first).tolist() == list(range(8))
    assert not again.values(second).any()


def test_scales_are_absent_single_or_per_channel(model, drawn):
    origin, graph = Flatbuffer(model), Flatbuffer(Calibrator(model, drawn).quantize(QuantizationOptions()))
    sizes = [
        tuple(len(values) for values in graph.scales(index)) for index in (graph.inputs[0], graph.ops[0].inputs[1])
    ]
    assert sizes == [(1, 1), (8, 8)]
    assert len(origin.scales(origin.inputs[0])[0]) == 0


def test_uses_counts_the_operators_that_read_a_tensor(model):
    graph = Flatbuffer(model)
    assert [graph.uses(index) for index in (graph.inputs[0], graph.ops[0].inputs[1], graph.outputs[0])] == [1, 1, 0]


# Compaction


@pytest.fixture(scope="module")
def quantized(model, drawn):
    """Quantize the small network, without compaction."""
    return Calibrator(model, drawn).quantize(QuantizationOptions())


@pytest.fixture(scope="module")
def compacted(quantized):
    return compact(quantized)


@pytest.mark.filterwarnings("ignore:(?s).*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("kernels", ["default", "reference"])
@pytest.mark.parametrize("runtime", sorted(installed_runtimes().runtimes))
def test_a_compacted_model_returns_the_same_bits(quantized, compacted, drawn, runtime, kernels):
    configuration = Configuration(runtime, kernels)
    outputs = run_model(quantized, drawn, configuration)
    assert len(np.unique(outputs)) > 1
    assert np.array_equal(run_model(compacted, drawn, configuration), outputs)


def test_a_trained_model_shrinks_and_keeps_its_outputs(small_1_path):
    artifact = Artifact.load(small_1_path)
    smaller = compact(artifact.model)
    assert len(smaller) < 0.97 * len(artifact.model)
    for kernels in ("default", "reference"):
        before, after = (
            run_model(model, artifact.golden.inputs, Configuration("litert", kernels))
            for model in (artifact.model, smaller)
        )
        assert np.array_equal(before, after)


def test_compaction_changes_only_names_of_constants(quantized, compacted):
    before, after = read_model(quantized).main, read_model(compacted).main
    assert (after.ops, after.inputs, after.outputs) == (before.ops, before.inputs, before.outputs)
    produced = {*before.inputs, *(index for op in before.ops for index in op.outputs)}
    for index, (old, new) in enumerate(zip(before.tensors, after.tensors, strict=True)):
        assert new == dataclasses.replace(old, name=old.name if index in produced else "")
    for index in range(len(before.tensors)):
        (scales, zero_points), (same_scales, same_points) = (
            Flatbuffer(model).scales(index) for model in (quantized, compacted)
        )
        assert np.array_equal(scales, same_scales)
        assert np.array_equal(zero_points, same_points)


def test_compacting_twice_gives_the_same_bytes(compacted):
    assert compact(compacted) == compacted


def test_a_constant_of_a_compacted_model_is_changed_for_one_operator_only(compacted):
    graph = Flatbuffer(compacted)
    first, second = (op.inputs[2] for op in graph.ops[:2])
    unchanged = graph.values(second)
    graph.set_values(first, np.arange(8))
    again = Flatbuffer(graph.to_bytes())
    assert again.values(first).tolist() == list(range(8))
    assert np.array_equal(again.values(second), unchanged)


def test_operators_of_a_compacted_model_keep_their_layers(quantized, compacted):
    assert [op.layer for op in Flatbuffer(compacted).ops] == [op.layer for op in Flatbuffer(quantized).ops]
    assert [layer.tensor_name for layer in list_layers(compacted)] == ["conv", "conv_b", "average", "logits"]


def test_every_layer_of_a_compacted_model_can_be_probed(quantized, compacted, drawn):
    configuration = Configuration("litert", "reference")
    for layer in list_layers(compacted):
        before, after = (
            run_model(probe_tensors(model, layer.tensor), drawn[:4], configuration) for model in (quantized, compacted)
        )
        assert np.array_equal(before, after), layer


def test_layer_errors_of_a_compacted_model_are_the_same(model, quantized, compacted, drawn):
    assert layer_errors(model, compacted, drawn) == layer_errors(model, quantized, drawn)


def test_inspect_reads_a_compacted_model(quantized, compacted, tmp_path):
    def inspected(content):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return inspect_in_process(path)

    before, after = inspected(quantized), inspected(compacted)
    assert after.file_bytes < before.file_bytes
    assert (after.ops, after.inputs, after.outputs, after.macs) == (
        before.ops,
        before.inputs,
        before.outputs,
        before.macs,
    )


def test_the_scheme_int8_compacts_its_model(small_network, drawn, compacted):
    scheme = plugins.load("edgefer.workstation.quantization.schemes", "int8")
    assert scheme.convert(FloatNetwork(small_network, drawn), QuantizationOptions()) == compacted
